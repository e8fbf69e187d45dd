import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ClientStore, StoreChange } from '../../../src/client/store.ts'
import { createFileStore } from '../../../src/client/file/file-store.ts'
import { randomOf, simulatedDisk, type Fault, type SimulatedDisk } from '../../../../../tools/faults/simulated-disk.ts'

const LONG = process.env['LONG'] === '1'

/** What somebody does with a store: some updates at once, and perhaps waits for them; closes it and opens another. */
type Step =
  | { readonly kind: 'update'; readonly sizes: readonly (readonly number[])[]; readonly awaited: boolean }
  | { readonly kind: 'again' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('update' as const),
      // Of each update the sizes of what it writes; 0 removes.
      sizes: fc.array(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 4 }), {
        minLength: 1,
        maxLength: 5,
      }),
      awaited: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const) }) },
)

/** Lives of a store one after another, each ended by a crash at one of its calls of the disk, or behind them. */
const life = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 16 }),
  crashAt: fc.integer({ min: 1, max: 200 }),
  /** In a thousand calls. */
  faults: fc.constantFrom(0, 0, 30, 150),
})

type Life = typeof life extends fc.Arbitrary<infer T> ? T : never

/** All that is there, as text, after each of the updates that were decided. */
interface Ledger {
  /** Of the process that lives: what one before it still does, nobody sees. */
  life: number
  states: ReadonlyMap<string, string>[]
  /** The last update that somebody was told of. */
  resolved: number
}

function openOn(disk: SimulatedDisk): ClientStore {
  // So little spare room that the log is often written anew.
  return createFileStore({ files: disk, dir: '/store', spareBytes: 600, lock: async () => async () => {} })
}

test('whatever the power takes: what had resolved is there, in order, and no update is there in part', async () => {
  const property = fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), fc.nat(), async (lives, seed) => {
    const random = randomOf(seed)
    const ledger: Ledger = { life: 0, states: [new Map()], resolved: 0 }
    let disk = simulatedDisk(random)
    for (const one of lives) {
      await live(disk, one, ledger, random)
      ledger.life++
      disk = disk.afterCrash()
      await check(disk, ledger)
    }
  })
  await fc.assert(property, { numRuns: LONG ? 20_000 : 300, endOnFailure: process.env['MUTANT'] !== undefined })
}, 900_000)

async function live(
  disk: SimulatedDisk,
  { steps, crashAt, faults }: Life,
  ledger: Ledger,
  random: (below: number) => number,
): Promise<void> {
  const crashed = Promise.withResolvers<void>()
  let calls = 0
  disk.fault = (call): Fault => {
    if (++calls === crashAt) {
      crashed.resolve()
      return 'crash'
    }
    if (faults === 0 || call === 'read' || call === 'open' || random(1000) >= faults) return 'ok'
    if (call === 'write') return (['short', 'ENOSPC', 'EIO'] as const)[random(3)]!
    return random(2) === 0 ? 'ENOSPC' : 'EIO'
  }
  const orCrash = (work: Promise<unknown>): Promise<unknown> => Promise.race([work, crashed.promise])

  let store = openOn(disk)
  for (const step of steps) {
    if (calls >= crashAt) return
    if (step.kind === 'again') {
      await orCrash(store.close())
      if (calls >= crashAt) return
      // Here others than the resolved ones may be there or not: so it is looked at.
      await check(disk, ledger, orCrash)
      if (calls >= crashAt) return
      store = openOn(disk)
      continue
    }
    const updates = step.sizes.map((sizes) => update(store, sizes, ledger, random))
    if (step.awaited) await orCrash(Promise.all(updates))
  }
}

/** Writes some keys, and which update it is. */
function update(store: ClientStore, sizes: readonly number[], ledger: Ledger, random: (n: number) => number) {
  const { life } = ledger
  let number = 0
  const updated = store.update(['update'], ([last = 0]) => {
    if (life !== ledger.life) throw new Error('the process is dead')
    number = ledger.states.length
    expect(last).toBe(number - 1)
    const changes: StoreChange[] = sizes.map((size) => [
      `k${random(6)}`,
      size === 0 ? undefined : { by: number, text: '\u00e9\u001e\n'.repeat(size) },
    ])
    const state = new Map(ledger.states.at(-1))
    for (const [key, value] of [...changes, ['update', number] as const]) {
      if (value === undefined) state.delete(key)
      else state.set(key, JSON.stringify(value))
    }
    ledger.states.push(state)
    return [...changes, ['update', number]]
  })
  return updated.then(
    () => {
      if (life === ledger.life) ledger.resolved = Math.max(ledger.resolved, number)
    },
    () => {},
  )
}

/** It is as it was after one of the updates, and not after one before the last that resolved. */
async function check(
  disk: SimulatedDisk,
  ledger: Ledger,
  orCrash: (work: Promise<unknown>) => Promise<unknown> = (work) => work,
): Promise<void> {
  const { fault } = disk
  let isCut = false
  disk.fault = (call, path) => (isCut || fault(call, path) === 'crash' ? ((isCut = true), 'crash') : 'ok')
  const store = openOn(disk)
  let found: ReadonlyMap<string, string> | undefined
  await orCrash(
    store.load().then(
      (entries) => (found = new Map(Array.from(entries, ([key, value]) => [key, JSON.stringify(value)]))),
      (error: unknown) => {
        if (!isCut) throw error
      },
    ),
  )
  if (isCut || found === undefined) return
  const last = Number(found.get('update') ?? 0)
  expect(last).toBeGreaterThanOrEqual(ledger.resolved)
  expect(found).toEqual(ledger.states[last])
  // What had been decided behind it never was.
  ledger.states = ledger.states.slice(0, last + 1)
  ledger.resolved = last
  await orCrash(store.close())
  disk.fault = fault
}
