import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import {
  createAudit,
  memoryStore,
  type Audit,
  type AuditOptions,
  type AuditStore,
  type EntryInput,
} from '../../src/index.ts'
import { FRAMEWORKS } from '../../src/report/frameworks.ts'
import { complianceReport, renderReport, type ComplianceReportOptions } from '../../src/report/index.ts'
import { verifyProof } from '../../src/verify/index.ts'

/** Always the same, so that what is signed is. For tests alone. */
const signer = 'PRIVATE+KEY+acme.example/prod+b168eeb2+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH'
const verifier = 'acme.example/prod+b168eeb2+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs'
const open: Audit[] = []
afterEach(async () => {
  for (const audit of open.splice(0)) await audit.close()
})

const from = new Date('2026-01-01')
const to = new Date('2026-02-01')
const by = { type: 'user', id: 'auditor' }
const asked = { framework: 'soc2', scope: 'acme', from, to, by } as const satisfies ComplianceReportOptions

const actions = {
  'user.login': { category: ['authentication'], type: ['start'] },
  'user.create': { category: ['iam'], type: ['user', 'creation'] },
  'user.role.change': { category: ['iam'], type: ['user', 'change'] },
  'parcel.read': { category: ['web'], type: ['access'] },
  'setting.change': { category: ['configuration'], type: ['change'] },
}

async function filled(more: Partial<AuditOptions> = {}): Promise<Audit> {
  const audit = createAudit({
    store: memoryStore({ clock: virtualClock({ now: Date.UTC(2026, 0, 20) }) }),
    key: signer,
    actions,
    auditReads: 'none',
    checkpoint: { heartbeat: false },
    clock: virtualClock({ now: Date.UTC(2026, 0, 20) }),
    ...more,
  })
  open.push(audit)
  for (const [i, entry] of ENTRIES.entries()) {
    await audit.record({
      scope: 'acme',
      actor: { type: 'user', id: 'u_17' },
      at: Date.UTC(2026, 0, 2 + i),
      id: `019b7000-0000-7000-8000-${String(i).padStart(12, '0')}`,
      ...entry,
    })
  }
  await audit.flush()
  return audit
}

const ENTRIES: readonly (Partial<EntryInput> & { action: string })[] = [
  { action: 'user.login', where: { ip: '192.0.2.7' }, target: { type: 'user', id: 'u_17' } },
  { action: 'user.login', outcome: 'failure' },
  { action: 'user.create', target: { type: 'user', id: 'u_9' } },
  { action: 'user.role.change', actor: { type: 'user', id: 'u_1', roles: ['admin'] } },
  { action: 'parcel.read', actor: { type: 'user', id: '<b>|`*evil*`' } },
  { action: 'parcel.label.print' },
  { action: 'parcel.label.print' },
  { action: 'setting.change' },
  // Told late: the order of the log is that of sealing.
  { action: 'setting.change', at: Date.UTC(2026, 0, 1, 12) },
  { action: 'user.login', scope: 'other' },
  // Not in the range.
  { action: 'user.create', at: Date.UTC(2026, 1, 1) },
]

const controlOf = async (audit: Audit, framework: ComplianceReportOptions['framework'], id: string) =>
  (await complianceReport(audit, { ...asked, framework })).controls.find((control) => control.id === id)!

describe('a report', () => {
  test('counts what the catalogue calls by the words that a control asks for', async () => {
    const audit = await filled()
    const report = await complianceReport(audit, asked)
    expect(report.entries).toMatchObject({ count: 9, failures: 1, unreadable: 0, first: '2026-01-01T12:00:00.000Z' })
    expect(report.entries.unclassified).toEqual({ count: 2, actions: [{ action: 'parcel.label.print', count: 2 }] })
    const counts = Object.fromEntries(report.controls.map(({ id, count }) => [id, count]))
    expect(counts).toMatchObject({ 'CC6.1': 2, 'CC6.2': 1, 'CC6.3': 1, 'CC7.2': 1, 'CC8.1': 2, 'C1.2': 0 })
    expect(await controlOf(audit, 'pci', '10.2.1.2')).toMatchObject({ finding: 'evidence', count: 1 })
    expect(await controlOf(audit, 'pci', '10.2.2')).toMatchObject({
      finding: 'partial',
      detail: '1 of 9 entries have all of them',
    })
    expect(await controlOf(audit, 'gdpr', 'Art. 30')).toMatchObject({ finding: 'beyond', count: 0, query: null })
    expect(await controlOf(audit, 'hipaa', '164.308(a)(6)(ii)')).toMatchObject({ finding: 'none', count: 0 })
  })

  test('takes kinds of actions for entries that do not say theirs', async () => {
    const audit = await filled({ actions: {} })
    expect((await complianceReport(audit, asked)).entries.unclassified.count).toBe(9)
    const { controls, entries } = await complianceReport(audit, { ...asked, actions })
    expect(entries.unclassified.count).toBe(2)
    expect(controls.find(({ id }) => id === 'CC6.3')).toMatchObject({
      count: 1,
      query: expect.stringContaining('role'),
    })
  })

  test('proves its samples', async () => {
    const audit = await filled()
    const { controls, proofs } = await complianceReport(audit, asked)
    const samples = controls.flatMap((control) => control.samples)
    expect(samples.length).toBeGreaterThan(3)
    expect(controls.every((control) => control.samples.length === Math.min(3, control.count))).toBe(true)
    for (const { id, index, leaf } of samples) {
      const { bytes, leaf: sealed } = (await audit.get(id))!
      expect(leaf).toBe(sealed)
      const { proof } = proofs.find((one) => one.id === id)!
      expect(verifyProof(proof, bytes, [verifier])).toMatchObject({ index })
    }
  })

  test('says whether the end was cut off as far as it is told of checkpoints that were kept', async () => {
    const audit = await filled()
    const kept = await audit.checkpoint()
    const { log, controls } = await complianceReport(audit, asked)
    expect(log).toMatchObject({ integrity: 'ok', completeness: 'unwitnessed', size: 11, signed: 11, checkpoint: kept })
    expect(controls.find(({ id }) => id === 'CC2.1')).toMatchObject({ finding: 'partial' })
    const witnessed = await complianceReport(audit, { ...asked, keys: [verifier], against: [kept] })
    expect(witnessed.log.completeness).toBe('ok')
    expect(witnessed.controls.find(({ id }) => id === 'CC2.1')).toMatchObject({ finding: 'evidence' })
  })

  test('of a log that was changed says so, whatever its lines have become', async () => {
    const store = memoryStore()
    const forged: AuditStore = {
      ...store,
      // As somebody who can write to the tables would have it.
      read: async (...args) => (await store.read(...args)).map(change),
      search: async (...args) => (await store.search(...args)).map(change),
    }
    function change<T extends { leaf: { index: number }; bytes: Uint8Array | null }>(row: T): T {
      if (row.leaf.index === 2) return { ...row, bytes: Buffer.from('{}') }
      if (row.leaf.index !== 3) return row
      return { ...row, bytes: Buffer.from(Buffer.from(row.bytes!).toString().replace('u_1"', 'u_2"')) }
    }
    const audit = await filled({ store: forged })
    const report = await complianceReport(audit, { ...asked, framework: 'pci' })
    expect(report.log.integrity).toBe('broken')
    expect(report.log.problems.map(({ index }) => index)).toEqual(expect.arrayContaining([2, 3]))
    expect(report.entries).toMatchObject({ count: 8, unreadable: 1 })
    expect(report.controls.find(({ id }) => id === '10.3.4')).toMatchObject({ finding: 'contradicted' })
    expect(renderReport(report, 'markdown')).toContain('| Integrity | **BROKEN** |')
  })

  test('of nothing has no evidence, and no error', async () => {
    const audit = createAudit({ store: memoryStore(), key: signer })
    open.push(audit)
    const { log, entries, controls, proofs } = await complianceReport(audit, asked)
    expect(log).toMatchObject({ size: 0, checkpoint: null, signed: 0 })
    expect(entries).toMatchObject({ count: 0, oldest: null })
    expect(controls.some(({ finding }) => finding === 'evidence')).toBe(false)
    expect(proofs).toEqual([])
  })

  test('is an entry itself, of who asked for it', async () => {
    const audit = await filled({ auditReads: 'exports' })
    await complianceReport(audit, asked)
    await audit.flush()
    const { entries } = await audit.query({ scope: 'acme', action: 'audit.log.exported' })
    expect(entries).toMatchObject([{ actor: by, data: { query: expect.stringContaining('2026-02-01') } }])
    // In the range, were it made then: readings of the log are what this control asks for.
    const now = { from: new Date('2026-01-20'), to: new Date('2026-01-21') }
    const { controls } = await complianceReport(audit, { ...asked, ...now, framework: 'pci' })
    expect(controls.find(({ id }) => id === '10.2.1.3')).toMatchObject({ finding: 'evidence', count: 1 })
  })

  test.each([
    [{ framework: 'iso27001' }, '"framework" must be one of soc2, hipaa, gdpr, pci (got \'iso27001\')'],
    [{ framework: 'toString' }, '"framework"'],
    [{ scope: '' }, '"scope"'],
    [{ from: '2026-01-01' }, '"from" must be a valid Date'],
    [{ to: new Date(NaN) }, '"to" must be a valid Date'],
    [{ from: to, to: from }, '"from" must be before "to"'],
    [{ by: undefined }, '"by" must be an actor'],
    [{ actions: { 'a b': {} } }, '"actions" must have names such as'],
    [{ actions: { 'a.b': { category: 'iam' } } }, '"actions[\'a.b\'].category" must be an array'],
    [{ keys: ['x'] }, 'keys[0]'],
    [{ format: 'csv' }, 'unknown member "format"'],
  ])('%j is refused', async (wrong, message) => {
    const given = { ...asked, ...wrong } as unknown as ComplianceReportOptions
    await expect(complianceReport(await filled(), given)).rejects.toThrow(message)
  })
})

describe('a report as text', () => {
  test.each(Object.keys(FRAMEWORKS) as (keyof typeof FRAMEWORKS)[])(
    'of %s is the same to the byte',
    async (framework) => {
      for (const [format, ending] of [
        ['json', 'json'],
        ['markdown', 'md'],
      ] as const) {
        // Two logs with the same entries are the same log.
        const [one, other] = [await filled(), await filled()]
        const text = renderReport(await complianceReport(one, { ...asked, framework }), format)
        expect(renderReport(await complianceReport(other, { ...asked, framework }), format)).toBe(text)
        expect(renderReport(await complianceReport(one, { ...asked, framework }), format)).toBe(text)
        const golden = join(import.meta.dirname, 'golden', `${framework}.${ending}`)
        if (process.env['GOLDEN'] === 'write') await writeFile(golden, text)
        expect(text).toBe(await readFile(golden, 'utf8'))
      }
    },
  )

  test('has nothing of others as markup', async () => {
    const text = renderReport(await complianceReport(await filled(), { ...asked, framework: 'pci' }), 'markdown')
    const line = text.split('\n').find((one) => one.includes('evil'))!
    expect(line).toContain("`<b>\\|'*evil*'`")
    // As many cells as the head has.
    expect(line.replaceAll(String.raw`\|`, '').match(/\|/g)).toHaveLength(7)
  })

  test('is of two kinds', async () => {
    const report = await complianceReport(await filled(), asked)
    expect(JSON.parse(renderReport(report, 'json'))).toEqual(report)
    expect(() => renderReport(report, 'csv' as never)).toThrow("must be json or markdown (got 'csv')")
  })
})
