import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { uuidv7 } from '@keelson/kernel'
import type { Case, Tools } from '@keelson/kernel/conformance'
import type { EntryInput } from '../audit.ts'
import { createEntryMaker } from '../entry/make-entry.ts'
import { fold } from '../sealer.ts'
import type { AuditStore, Row, SealedRow, Search, WrappedKey } from '../store.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** What must not be over lasts an hour: no machine stands still that long. */
export const LONG_MS = 3_600_000
/** What must be over ends soon, and is waited for. */
export const SHORT_MS = 60
const PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 10
const ALL = { entries: 10_000, bytes: 100_000_000 }

/** What a case of a store works with. */
export interface Stage extends Tools {
  readonly store: AuditStore
  /** The same store, as another process sees it. */
  readonly peer: AuditStore
  readonly db: StoreUnderTest['db']
  /** Of this case alone. */
  readonly log: string
  elapse(ms: number): Promise<void>
  /** Waits for something while the store's time passes; fails when it does not come. */
  until<R>(what: string, isSo: () => Promise<R | undefined | false>): Promise<R>
  /** An entry as the core writes it, with the keys of its `personal` values unless it is given others. */
  row(
    entry?: Partial<EntryInput>,
    more?: { readonly keys?: readonly WrappedKey[]; readonly correlationId?: string },
  ): Row
  /** Appends so many entries, one after another. */
  append(...entries: readonly (Partial<EntryInput> | Row)[]): Promise<Row[]>
  /** Seals all that is durable; how many that were. */
  seal(): Promise<number>
  /** Appends and seals. */
  sealed(...entries: readonly (Partial<EntryInput> | Row)[]): Promise<Row[]>
  read(from?: number): Promise<readonly SealedRow[]>
  /** Indexes of what a search finds. */
  found(q: Partial<Search>): Promise<number[]>
}

const [secret, pseudonym] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
const make = createEntryMaker({ privacy: { secrets: [secret], pseudonym } })
const ENTRY: EntryInput = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_1' } }

/** A case whose store comes with a log of its own. */
export function onStage(
  name: string,
  run: (stage: Stage) => Promise<void>,
  needs?: readonly string[],
): Case<StoreUnderTest> {
  return {
    name,
    ...(needs === undefined ? {} : { needs }),
    run: async (subject, tools) => run(openStage(subject, tools)),
  }
}

function openStage({ store, peer = store, db, elapse = sleep }: StoreUnderTest, tools: Tools): Stage {
  const log = `case-${randomUUID()}`

  const row: Stage['row'] = (entry = {}, { correlationId, ...keys } = {}) => {
    const at = { nowMs: Date.now(), ...(correlationId === undefined ? {} : { correlationId }) }
    return { ...make({ id: uuidv7(), ...ENTRY, ...entry }, at).row, ...keys }
  }

  async function append(...entries: readonly (Partial<EntryInput> | Row)[]): Promise<Row[]> {
    const rows = entries.map((entry) => ('bytes' in entry ? entry : row(entry)))
    for (const one of rows) await store.append(log, [one])
    return rows
  }

  async function until<R>(what: string, isSo: () => Promise<R | undefined | false>): Promise<R> {
    for (let waitedMs = 0; waitedMs <= PATIENCE_MS; waitedMs += LOOK_EVERY_MS) {
      const so = await isSo()
      if (so !== undefined && so !== false) return so
      await elapse(LOOK_EVERY_MS)
    }
    throw new Error(`it did not come: ${what}`)
  }

  async function seal(): Promise<number> {
    const mark = await store.mark(log)
    let sealed = 0
    await until('all is sealed', async () => {
      for (;;) {
        const step = await store.seal(log, 1_000, fold)
        if (step === 'busy' || step === 0) break
        sealed += step
      }
      return (await store.isSealed(log, mark)) || undefined
    })
    return sealed
  }

  return {
    ...tools,
    store,
    peer,
    db,
    log,
    async elapse(ms) {
      await elapse(ms)
    },
    until,
    row,
    append,
    seal,
    async sealed(...entries) {
      const rows = await append(...entries)
      await seal()
      return rows
    },
    read: async (from = 0) => store.read(log, from, ALL),
    async found(q) {
      const rows = await store.search(log, { scope: null, order: 'asc', limit: 100, ...q })
      return rows.map(({ leaf }) => leaf.index)
    },
  }
}

/** Texts, each two of which some database takes for one: by case, accents, spelling, blanks at an end, or length. */
export const LOOKALIKES: readonly string[] = [
  'Oslo',
  'oslo',
  'Oslo ',
  ' Oslo',
  'Osl\u00f3',
  'Oslo\u0301',
  `${'o'.repeat(100)}1`,
  `${'o'.repeat(100)}2`,
]

/** Bytes as an array: what is compared strictly. */
export const listed = (bytes: Uint8Array | null): number[] | null => (bytes === null ? null : [...bytes])
