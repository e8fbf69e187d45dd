/** The wall clock jumps by a day, to and fro, under a log at work. */
import { describe, expect, inject, test } from 'vitest'
import { systemClock, uuidv7, type Clock } from '@keelson/kernel'
import { seededRandom, virtualClock } from '@keelson/kernel/testing'
import { cli } from '../cli/run-cli.ts'
import { fileStore } from '../../src/file/index.ts'
import { memoryStore, type Audit, type AuditOptions } from '../../src/index.ts'
import { complianceReport } from '../../src/report/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { entry, folder, key, open, sinkOf } from './stage.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** More than one span of the index of instants. */
const ENTRIES = 1_500
const by = { type: 'user', id: 'auditor' }

/** Ids of one process only grow: each test begins behind those before. */
let startMs = Date.now()
const nextClock = () => virtualClock({ now: (startMs += 30 * DAY_MS) })

/** This machine's clock, whose wall jumps. */
function jumping(): Clock & { jump(byMs: number): void } {
  let offsetMs = 0
  return { ...systemClock, now: () => systemClock.now() + offsetMs, jump: (byMs) => void (offsetMs += byMs) }
}

async function linesOf(audit: Audit, q: Partial<Parameters<Audit['export']>[0]> = {}): Promise<string[]> {
  const lines: string[] = []
  for await (const line of audit.export({ scope: 'acme', order: 'asc', ...q })) lines.push(line.trimEnd())
  return lines
}
const atOf = (line: string): string => (JSON.parse(line) as { '@timestamp': string })['@timestamp']

describe.each([-DAY_MS, DAY_MS])('a wall clock that jumps by %d ms', (jumpMs) => {
  const stage = (more: Partial<AuditOptions> = {}) => {
    const clock = nextClock()
    const audit = open({ store: memoryStore({ clock }), clock, ...more })
    return { clock, audit }
  }

  test('keeps no entry from being sealed, signed and shipped, in the order of the log', async () => {
    const sink = sinkOf()
    const { clock, audit } = stage({ sinks: [sink] })
    await audit.start()
    const ids: string[] = []
    for (const by of [0, jumpMs, -jumpMs, jumpMs]) {
      clock.jumpWall(by)
      for (let n = 0; n < 3; n++) ids.push((await audit.record({ ...entry, data: { n } })).id)
      await clock.advance(5_000)
      expect(sink.has).toEqual(ids)
      expect((await audit.inspect()).state).toBe('ok')
    }
    const { entries } = await audit.query({ scope: 'acme', order: 'asc' })
    expect(entries.map(({ id }) => id)).toEqual(ids)
    expect(ids.toSorted()).toEqual(ids)
    expect(await audit.verify()).toMatchObject({ ok: true, size: ids.length })
  })

  test('makes one heartbeat an hour as before', async () => {
    const { clock, audit } = stage()
    await audit.record(entry)
    await audit.start()
    const beats = async (): Promise<number> =>
      (await audit.query({ scope: 'keelson', action: 'audit.heartbeat', limit: 1_000 })).entries.length
    await clock.advance(HOUR_MS + 60_000)
    expect(await beats()).toBe(1)
    clock.jumpWall(jumpMs)
    await clock.advance(HOUR_MS / 2)
    expect(await beats()).toBe(1)
    await clock.advance(3 * HOUR_MS)
    expect(await beats()).toBe(4)
  })

  test('tells who asks for the proof of what is not sealed yet to ask again', async () => {
    const { clock, audit } = stage()
    await audit.record(entry)
    await audit.flush()
    const { id } = await audit.record(entry)
    clock.jumpWall(jumpMs)
    await expect(audit.proof(id)).rejects.toMatchObject({ code: 'NOT_SEALED', retryable: true })
    await audit.flush()
    expect(await audit.proof(id)).toContain('tlog-proof')
  })

  test('or is behind for long: only what cannot be among it is not there', async () => {
    const { clock, audit } = stage()
    await audit.record(entry)
    await audit.flush()
    const never = uuidv7(clock)
    await clock.advance(10 * 60_000)
    const { id } = await audit.record(entry)
    await clock.advance(10 * 60_000)
    clock.jumpWall(jumpMs)
    await expect(audit.proof(id)).rejects.toMatchObject({ code: 'NOT_SEALED' })
    // Of a clock that went back everything is young.
    await expect(audit.proof(never)).rejects.toMatchObject({ code: jumpMs < 0 ? 'NOT_SEALED' : 'NOT_FOUND' })
    clock.jumpWall(-jumpMs)
    await audit.flush()
    expect(await audit.proof(id)).toContain('tlog-proof')
    await expect(audit.proof(never)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('drops nothing that is younger than is kept, and nothing twice', async () => {
    const clock = nextClock()
    const store = fileStore({ dir: await folder(), segmentBytes: 64 << 10, appendTimeout: '60s' })
    const audit = open({ store, clock, retention: { keep: '3d' } })
    const fill = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) await audit.record({ ...entry, data: { text: 'x'.repeat(20_000) } })
      await audit.flush()
    }
    await fill()
    clock.jumpWall(jumpMs)
    await fill()
    expect(await audit.applyRetention()).toMatchObject({ entries: 0 })
    clock.jumpWall(-jumpMs)
    await clock.advance(2 * DAY_MS)
    expect(await audit.applyRetention()).toMatchObject({ entries: 0 })
    await clock.advance(3 * DAY_MS)
    const { entries, upTo } = await audit.applyRetention()
    expect(entries).toBeGreaterThan(10)
    clock.jumpWall(-DAY_MS)
    expect(await audit.applyRetention()).toEqual({ entries: 0, upTo })
    await audit.record(entry)
    await audit.flush()
    expect(await audit.verify()).toMatchObject({ ok: true, coverage: { gaps: 0, pruned: upTo } })
  })
})

test('what was written under a clock that jumps is found by its instant: export, report, the command', async () => {
  await using opened = await openPostgres()
  const dir = await folder()
  const random = seededRandom(7)
  for (const place of ['files', 'Postgres'] as const) {
    const clock = jumping()
    const store = place === 'files' ? fileStore({ dir, appendTimeout: '60s' }) : opened.store
    const audit = open({ store, clock, auditReads: 'none', storeTimeout: '30s', emitBuffer: ENTRIES })
    const from = new Date(clock.now() - DAY_MS / 2)
    const to = new Date(clock.now() + DAY_MS / 2)
    let day = 0
    for (let n = 0; n < ENTRIES; n++) {
      const next = Math.floor(random() * 3) - 1
      if (n % 100 === 0) clock.jump((next - day) * DAY_MS)
      if (n % 100 === 0) day = next
      audit.emit({ ...entry, data: { n } })
    }
    await audit.flush({ timeout: '60s' })
    const all = await linesOf(audit)
    expect(all).toHaveLength(ENTRIES)
    const asked = all.filter((line) => atOf(line) >= from.toISOString() && atOf(line) < to.toISOString())
    expect(asked.length).toBeGreaterThan(100)
    expect(asked.length).toBeLessThan(ENTRIES - 100)
    expect(await linesOf(audit, { from, to })).toEqual(asked)

    const report = await complianceReport(audit, { framework: 'soc2', scope: 'acme', from, to, by })
    const ats = asked.map(atOf).toSorted()
    expect(report.entries).toMatchObject({ count: asked.length, first: ats[0], last: ats.at(-1), unreadable: 0 })
    expect(report.log).toMatchObject({ integrity: 'ok', size: ENTRIES, problems: [] })
    expect(await complianceReport(audit, { framework: 'soc2', scope: 'acme', from, to, by })).toEqual(report)

    const at = place === 'files' ? ['--dir', dir] : ['--database-url', inject('databaseUrl'), '--schema', opened.schema]
    const range = ['--from', from.toISOString(), '--to', to.toISOString(), '--order', 'asc']
    const exported = await cli(['export', ...at, '--scope', 'acme', ...range, '--unrecorded'])
    expect(exported.out.trimEnd().split('\n')).toEqual(asked)
    const verified = await cli(['verify', ...at, '--key', key.verifier])
    expect([verified.code, verified.err]).toEqual([0, expect.any(String)])
  }
})
