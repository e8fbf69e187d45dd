import { expect, inject, test } from 'vitest'
import { transact } from '@keelson/kernel/postgres'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'
import { until } from '../../../../tools/servers/until.ts'
import { startNode, STEADY } from './node.ts'
import { newPlace, openPlace } from './place.ts'
import { startTally } from './tally.ts'
import { openSending, PATIENCE_MS, SCOPE, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'

const scenarios = {
  'Postgres: an event and its order are committed together, or rolled back': {
    file: new URL('./writers-scenario.ts', import.meta.url),
    runs: LONG ? 5_000 : 160,
  },
  'Redis: from publishing to settling an event is taken the rest of the way': {
    file: new URL('./redis-delivery-scenario.ts', import.meta.url),
    runs: LONG ? 1_600 : 80,
  },
  'Postgres: from publishing to settling an event is taken the rest of the way': {
    file: new URL('./postgres-delivery-scenario.ts', import.meta.url),
    runs: LONG ? 1_600 : 80,
  },
}

// Most of the time they wait: for leases of the dead, and for processes.
test.concurrent.each(Object.entries(scenarios))(
  'a process is killed at every await and at random. %s',
  async (_, { file, runs }) => {
    const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
    const report = await crash(file, { runs, ...urls })
    console.log(linesOf(report).join('\n'))
    expect(report.broken).toEqual([])
    expect(report.runs).toBeGreaterThanOrEqual(runs)
  },
  LONG ? 6 * 3_600_000 : SLOW_MS,
)

test('a transaction that began earlier and commits later is late, and never skipped', async () => {
  const place = newPlace('postgres', inject('databaseUrl'))
  await using tally = await startTally()
  await using sending = await openSending(place, { timeout: '6s' })
  await sending.endpoints(tally, 1)
  await using opened = await openPlace(place)
  await using _node = await startNode(place, STEADY)
  await using _other = await startNode(place, STEADY)
  const { webhooks } = sending
  const arrived = (id: string): Promise<unknown> =>
    until(`${id} has arrived`, PATIENCE_MS, async () => tally.ids.has(id) || undefined)

  for (let round = 0; round < 5; round++) {
    const written = Promise.withResolvers<void>()
    const mayCommit = Promise.withResolvers<void>()
    const late = transact(opened.db!, async (tx) => {
      await webhooks.send('to.0', {}, { scope: SCOPE, id: `late-${round}`, tx })
      written.resolve()
      await mayCommit.promise
      return { value: undefined }
    })
    await written.promise
    for (let i = 0; i < 10; i++) {
      await transact(opened.db!, async () => ({
        value: undefined,
        effects: [webhooks.event('to.0', {}, { scope: SCOPE, id: `soon-${round}-${i}` })],
      }))
      await webhooks.send('to.0', {}, { scope: SCOPE, id: `sent-${round}-${i}` })
    }
    // Routed and delivered past the open transaction.
    await arrived(`soon-${round}-9`)
    await arrived(`sent-${round}-9`)
    expect(tally.ids.has(`late-${round}`)).toBe(false)
    mayCommit.resolve()
    await late
    await arrived(`late-${round}`)
  }
  await sending.drained()
  expect(tally.receipts).toHaveLength(tally.ids.size)
})
