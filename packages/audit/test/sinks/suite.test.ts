import { describe, expect, it, test } from 'vitest'
import { register, runSuite, scoreMutants, type Subject } from '@keelson/kernel/conformance'
import { auditSinkSuite, brokenSinks, type SinkUnderTest } from '../../src/conformance/index.ts'
import { SOUND } from '../../src/conformance/sound-sinks.ts'
import { sinks } from './sinks.ts'

const sound: Record<string, Subject<SinkUnderTest>> = Object.fromEntries(
  Object.entries(SOUND).map(([name, { has, make }]) => [
    `in memory, ${name}`,
    { has, make: async () => ({ ...make(), async dispose() {} }) },
  ]),
)

describe.each(Object.entries({ ...sinks, ...sound }))('%s', (_, subject) => {
  register(auditSinkSuite, subject, { describe, it })
})

/** What a sink has no notion of; every other case of the suite is run on it. */
const LACKS: Record<string, readonly string[]> = {
  // Its answers have an item for each entry, and it always acknowledges.
  Elasticsearch: ['names', 'counts', 'state', 'settles'],
  // A request is taken as a whole, and taken again when the answer was lost.
  Splunk: ['items', 'counts', 'once', 'setup', 'state', 'settles'],
  OTLP: ['items', 'names', 'once', 'setup', 'state', 'settles'],
  // A 2xx is all that a receiver of webhooks says; it drops copies by their id.
  webhook: ['body', 'items', 'names', 'counts', 'once', 'setup', 'state', 'settles'],
  // Nobody answers, and nobody is far.
  JSONL: ['network', 'status', 'body', 'items', 'names', 'counts', 'setup', 'settles'],
  'syslog over TLS': ['status', 'body', 'items', 'names', 'counts', 'once', 'setup', 'state'],
}

test.each(Object.entries(sinks))('%s has or lacks each ability of the suite', (name, { has = [] }) => {
  const all = new Set(auditSinkSuite.cases.flatMap(({ needs = [] }) => needs))
  expect([...has, ...LACKS[name]!].toSorted()).toEqual([...all].toSorted())
})

test('every sink that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(auditSinkSuite, brokenSinks)
  expect(survivors).toEqual([])
  expect(total).toBeGreaterThanOrEqual(50)
}, 300_000)

test('a sink of one’s own needs a few lines', async () => {
  const { make } = SOUND.exact
  const { passed, failed } = await runSuite(auditSinkSuite, { make: async () => ({ ...make(), async dispose() {} }) })
  expect(failed).toEqual([])
  expect(passed.length).toBeGreaterThan(10)
})
