import fc from 'fast-check'
import { expect, test } from 'vitest'
import { uuidv7 } from '@keelson/kernel'
import { createFileStore } from '../../src/file/file-store.ts'
import type { AuditStore, Row } from '../../src/store.ts'
import { fold, frontierOf, hashOf } from './fake-tree.ts'
import {
  randomOf,
  simulatedDisk,
  type Fault,
  type Random,
  type SimulatedDisk,
} from '../../../../tools/faults/simulated-disk.ts'

const LONG = process.env['LONG'] === '1'
const LOG = 'main'

/** What somebody does with a store. */
type Step =
  | { readonly kind: 'append'; readonly sizes: readonly number[]; readonly keys: number; readonly awaited: boolean }
  | { readonly kind: 'seal'; readonly max: number }
  | { readonly kind: 'erase'; readonly ref: number }
  | { readonly kind: 'publish' | 'advance' | 'again' | 'prune' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizes: fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 4 }),
      keys: fc.integer({ min: 0, max: 3 }),
      awaited: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('seal' as const), max: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('erase' as const), ref: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('publish', 'advance', 'again', 'prune') }) },
)

/** Lives of a store one after another, each ended by a crash at one of its calls, or closed. */
const life = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 14 }),
  /** At which call of the disk the power goes, if it gets that far. */
  crashAt: fc.integer({ min: 1, max: 250 }),
  /** In a thousand calls. */
  faults: fc.constantFrom(0, 0, 20, 100),
})

/** A row that somebody asked to be kept. */
interface Asked {
  readonly row: Row
  readonly call: number
  acked: boolean
  /** 'maybe': by somebody who was not told that it is done. */
  erased: 'no' | 'maybe' | 'yes'
}

/** What is known of a log from outside. */
class Ledger {
  readonly asked = new Map<string, Asked>()
  /** Ids by index, as far as somebody was told. */
  sealed: string[] = []
  heads: { size: number; frontier: string }[] = []
  published = 0
  cursor = 0
  pruned = 0
  calls = 0
}

test('whatever the power takes: what was acknowledged is there, nothing torn is, and no head is taken back', async () => {
  const property = fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), fc.nat(), async (lives, seed) => {
    const random = randomOf(seed)
    const ledger = new Ledger()
    let disk = simulatedDisk(random)
    for (const { steps, crashAt, faults } of lives) {
      let calls = 0
      disk.fault = (call): Fault => {
        if (++calls === crashAt) return 'crash'
        // What opens a store is let alone: what it cannot repair it says, and the next one can.
        if (faults === 0 || call === 'read' || call === 'open' || random(1000) >= faults) return 'ok'
        if (call === 'write') return (['short', 'ENOSPC', 'EIO'] as const)[random(3)]!
        return random(2) === 0 ? 'ENOSPC' : 'EIO'
      }
      await live(disk, steps, ledger, random)
      disk = disk.afterCrash()
      await check(disk, ledger)
    }
  })
  await fc.assert(property, { numRuns: LONG ? 20_000 : 150, examples: failedBefore })
}, 600_000)

const failedBefore: [{ steps: Step[]; crashAt: number; faults: number }[], number][] = [
  // A head whose sync had failed came to stand on disk when its leaves were written anew, without the last one.
  [
    [
      {
        steps: [
          { kind: 'seal', max: 1 },
          { kind: 'again' },
          { kind: 'append', sizes: [0, 0, 0], keys: 1, awaited: true },
          { kind: 'seal', max: 1 },
          { kind: 'seal', max: 1 },
          { kind: 'append', sizes: [0, 0, 0], keys: 0, awaited: false },
        ],
        crashAt: 79,
        faults: 100,
      },
      {
        steps: [
          { kind: 'seal', max: 1 },
          { kind: 'append', sizes: [0], keys: 1, awaited: true },
          { kind: 'seal', max: 1 },
          { kind: 'seal', max: 1 },
          { kind: 'seal', max: 1 },
          { kind: 'append', sizes: [0], keys: 0, awaited: false },
        ],
        crashAt: 56,
        faults: 100,
      },
      { steps: [{ kind: 'publish' }], crashAt: 1, faults: 0 },
    ],
    1009267497,
  ],
  // A write of a key that failed left it in a file where nothing counts: the erasure did not look there.
  [
    [
      {
        steps: [
          { kind: 'publish' },
          { kind: 'append', sizes: [0, 0], keys: 0, awaited: true },
          { kind: 'append', sizes: [98, 0], keys: 1, awaited: true },
          { kind: 'seal', max: 1 },
          { kind: 'append', sizes: [0], keys: 1, awaited: false },
          { kind: 'erase', ref: 0 },
        ],
        crashAt: 85,
        faults: 100,
      },
      { steps: [{ kind: 'append', sizes: [0], keys: 0, awaited: false }], crashAt: 1, faults: 0 },
    ],
    1670637498,
  ],
]

function openOn(disk: SimulatedDisk): AuditStore {
  return createFileStore({
    files: disk,
    dir: '/audit',
    durability: 'fsync',
    segmentBytes: 4096,
    maxBytes: 1 << 30,
    timeoutMs: 60_000,
    lock: async () => async () => {},
  })
}

/** Does the steps until the power goes; then nothing that is awaited comes back, or it fails. */
async function live(disk: SimulatedDisk, steps: readonly Step[], ledger: Ledger, random: Random): Promise<void> {
  const store = openOn(disk)
  const open: Promise<void>[] = []
  const { promise: gone, resolve: powerGoes } = Promise.withResolvers<void>()
  const { fault } = disk
  disk.fault = (call, path) => {
    const decided = fault(call, path)
    if (decided === 'crash') powerGoes()
    return decided
  }
  for (const one of steps) {
    const done = doStep(store, one, ledger, random).catch(() => {})
    if (one.kind === 'append' && !one.awaited) open.push(done)
    else await Promise.race([done, gone])
  }
  await Promise.race([Promise.all(open), gone])
  if (random(2) === 0) await Promise.race([store.close().catch(() => {}), gone])
  // Whatever comes back now was on its way.
  await new Promise((resolve) => setImmediate(resolve))
}

async function doStep(store: AuditStore, step: Step, ledger: Ledger, random: Random): Promise<void> {
  switch (step.kind) {
    case 'append': {
      const call = ledger.calls++
      const rows = step.sizes.map((size) => newRow(size, step.keys))
      const asked = rows.map((row) => ({ row, call, acked: false, erased: 'no' as Asked['erased'] }))
      for (const one of asked) ledger.asked.set(one.row.id, one)
      await store.append(LOG, rows)
      for (const one of asked) one.acked = true
      return
    }
    case 'again': {
      const known = [...ledger.asked.values()]
      const one = known[random(known.length)]
      const call = known.filter((other) => other.call === one?.call)
      if (call.some(({ erased }) => erased !== 'no')) return
      await store.append(
        LOG,
        call.map(({ row }) => row),
      )
      for (const asked of call) asked.acked = true
      return
    }
    case 'seal': {
      const count = await store.seal(LOG, step.max, fold)
      expect(count).not.toBe('busy')
      const head = await store.head(LOG)
      ledger.heads.push({ size: head.size, frontier: Buffer.from(head.frontier).toString('hex') })
      const rows = await store.read(LOG, ledger.sealed.length, { entries: 1000, bytes: 1e9 })
      ledger.sealed.push(...rows.map(({ leaf }) => leaf.id))
      return
    }
    case 'erase': {
      const meant = [...ledger.asked.values()].filter(({ row }) => row.keys[0]?.ref === `ref-${step.ref}`)
      const acked = meant.filter((one) => one.acked)
      for (const one of meant) if (one.erased === 'no') one.erased = 'maybe'
      await store.destroyKeys(LOG, 'acme', `ref-${step.ref}`)
      for (const one of acked) one.erased = 'yes'
      return
    }
    case 'publish': {
      const { size } = await store.head(LOG)
      await store.publish(LOG, { size, note: `note ${size}` })
      ledger.published = size
      return
    }
    case 'advance': {
      const claim = await store.claim(LOG, 'siem', 'me', 1000)
      const { size } = await store.head(LOG)
      if (await store.advance(LOG, 'siem', claim!.fence, size, 1000, `at ${size}`)) ledger.cursor = size
      return
    }
    case 'prune': {
      const upTo = await store.prunable(LOG, Date.now() + 1e9)
      // It counts when it is asked for: nobody may hope for those any more.
      ledger.pruned = Math.max(ledger.pruned, upTo)
      await store.prune(LOG, upTo)
    }
  }
}

let secrets = 0

function newRow(size: number, keys: number): Row {
  const id = uuidv7()
  const bytes = Buffer.from(JSON.stringify({ id, text: 'x'.repeat(size) }))
  const ref = `ref-${secrets % 3}`
  const wrapped = (n: number): Buffer => Buffer.from(`secret-${++secrets}-${n}-end`)
  return { id, bytes, keys: Array.from({ length: keys }, (_, n) => ({ scope: 'acme', ref, wrapped: wrapped(n) })) }
}

/** Looks at what a crash has left, by a store that lives on it; then it is as if nothing had happened. */
async function check(disk: SimulatedDisk, ledger: Ledger): Promise<void> {
  const store = openOn(disk)
  const { size, frontier } = await store.head(LOG)
  while ((await store.seal(LOG, 7, fold)) !== 0) {}
  const rows = await store.read(LOG, 0, { entries: 100_000, bytes: 1e12 })
  const ids = rows.map(({ leaf }) => leaf.id)

  // Dense, final, once.
  expect(rows.map(({ leaf }) => leaf.index)).toEqual(ids.map((_, i) => i))
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.slice(0, ledger.sealed.length)).toEqual(ledger.sealed)
  // What was acknowledged is there, and nothing that nobody asked for.
  const there = new Set(ids)
  for (const [id, { acked }] of ledger.asked) if (acked) expect(there.has(id), `${id} was acknowledged`).toBe(true)
  const calls = new Map<number, number>()
  const { pruned } = await store.head(LOG)
  expect(pruned).toBeLessThanOrEqual(ledger.pruned)
  for (const [index, { leaf, bytes }] of rows.entries()) {
    const asked = ledger.asked.get(leaf.id)!
    if (index >= pruned) expect(Buffer.compare(bytes!, asked.row.bytes)).toBe(0)
    else expect(bytes).toBeNull()
    calls.set(asked.call, (calls.get(asked.call) ?? 0) + 1)
  }
  // All rows of a call or none.
  for (const [call, count] of calls)
    expect([...ledger.asked.values()].filter((asked) => asked.call === call)).toHaveLength(count)

  // Every head is a prefix, the tiles are those of the entries.
  const chain: string[] = ['']
  for (const id of ids)
    chain.push(frontierOf(Buffer.from(chain.at(-1)!, 'hex'), ledger.asked.get(id)!.row).toString('hex'))
  for (const head of [...ledger.heads, { size, frontier: Buffer.from(frontier).toString('hex') }])
    expect(head.frontier).toBe(chain[head.size])
  const hashes = ids.map((id) => hashOf(ledger.asked.get(id)!.row.bytes))
  for (let tile = 0; tile * 256 < ids.length; tile++) {
    const [found] = await store.tiles(LOG, [{ level: 0, index: tile }])
    expect(Buffer.compare(found!, Buffer.concat(hashes.slice(tile * 256, tile * 256 + 256)))).toBe(0)
  }

  // Keys stand and fall as they should.
  const kept = ids.slice(pruned)
  const keys = new Map((await store.keys(LOG, kept)).map((key) => [Buffer.from(key.wrapped).toString(), key]))
  for (const id of kept) {
    const { row, erased } = ledger.asked.get(id)!
    const found = row.keys.filter(({ wrapped }) => keys.has(Buffer.from(wrapped).toString()))
    if (erased === 'no') expect(found).toHaveLength(row.keys.length)
    else expect([0, erased === 'yes' ? 0 : row.keys.length]).toContain(found.length)
    if (erased === 'yes') expect(row.keys.some(({ wrapped }) => disk.holds(Buffer.from(wrapped)))).toBe(false)
    ledger.asked.get(id)!.erased = found.length === row.keys.length ? 'no' : 'yes'
  }

  const [last] = await store.checkpoints(LOG, { last: true })
  expect(last?.size ?? 0).toBeGreaterThanOrEqual(ledger.published)
  const { cursors } = await store.inspect(LOG)
  expect(cursors['siem'] ?? 0).toBeGreaterThanOrEqual(ledger.cursor)
  await store.close()

  // The next life goes on from what is there now.
  ledger.sealed = ids
  for (const [id, asked] of ledger.asked) {
    if (!there.has(id)) ledger.asked.delete(id)
    else asked.acked = true
  }
}
