import type { Statement, Tx } from '@keelson/kernel'
import { keyText } from '../../record-key.ts'
import type { Pushing, PushQuery, PushWrites, RecordKey, ServerChange, SyncStore } from '../../store.ts'
import type { OpenTransaction, StoreUnderTest } from '../store-under-test.ts'

/** What a transaction will write when it commits. */
interface Held {
  readonly keys: readonly RecordKey[]
  readonly write: () => Promise<unknown>
}

export interface Transactional extends StoreUnderTest {
  begin(): Promise<OpenTransaction>
  /** Of all that are open: what they hold. */
  readonly open: ReadonlyMap<Tx, readonly Held[]>
}

type Made<T> = { readonly writes: PushWrites; readonly value: T }

const CHANGE = 'change'

/**
 * A store in memory whose writes may wait for a commit: what transactions of a database look like from outside. A change
 * in one cannot tell its stamps: it has none before it commits.
 */
export function withTransactions(store: SyncStore): Transactional {
  const open = new Map<Tx, Held[]>()

  function heldChange(changes: readonly ServerChange[], node: string): Held {
    return { keys: changes, write: () => store.change(changes, node) }
  }

  /** A transaction that holds nothing yet. It speaks of savepoints, and the statements of `changeStatements`. */
  function openTx(held: Held[]): Tx {
    const savepoints = new Map<string, number>()
    const tx: Tx = {
      async query(text, values = []) {
        const name = text.split(' ').at(-1)!
        if (text === CHANGE) held.push(heldChange(values[0] as ServerChange[], values[1] as string))
        else if (text.startsWith('savepoint ')) savepoints.set(name, held.length)
        else if (text.startsWith('rollback to savepoint ')) held.length = savepoints.get(name)!
        else throw new Error(`not spoken here: ${text}`)
        return { rows: [] }
      },
    }
    open.set(tx, held)
    return tx
  }

  const attemptOn =
    (held: Held[]): Pushing['attempt'] =>
    async (fn) => {
      const { length } = held
      return fn().catch((error: unknown) => {
        held.length = length
        throw error
      })
    }

  const run = async (tx: Tx, statements: readonly Statement[]): Promise<void> => {
    for (const { text, values } of statements) await tx.query(text, values)
  }

  async function pushAlone<T>(q: PushQuery, work: (pushing: Pushing) => Promise<Made<T>>): Promise<T> {
    const others = new Set([...open.values()].flat().flatMap(({ keys }) => keys.map(keyText)))
    const held: Held[] = []
    const tx = openTx(held)
    try {
      const value = await store.push(q, async ({ state }) => {
        const busy = q.keys.filter((key) => others.has(keyText(key)))
        const made = await work({ state: { ...state, busy }, tx, attempt: attemptOn(held) })
        await run(tx, made.writes.statements)
        return made
      })
      for (const { write } of held) await write()
      return value
    } finally {
      open.delete(tx)
    }
  }

  /** It is decided now, and written when they commit. */
  async function pushIn<T>(q: PushQuery, work: (pushing: Pushing) => Promise<Made<T>>, tx: Tx): Promise<T> {
    const held = open.get(tx)!
    const { length } = held
    let made: Made<T> | undefined
    const later = new Error('later, when it commits')
    const read = store.push(q, async ({ state }) => {
      made = await work({ state, tx, attempt: attemptOn(held) })
      throw later
    })
    await read.catch((error: unknown) => {
      if (error === later) return
      held.length = length
      throw error
    })
    held.push({ keys: q.keys, write: () => store.push(q, async () => made!) })
    await run(tx, made!.writes.statements)
    return made!.value
  }

  return {
    open,
    store: {
      ...store,
      transactional: true,
      async change(changes, node, o) {
        if (o?.tx === undefined) return store.change(changes, node)
        open.get(o.tx)!.push(heldChange(changes, node))
        return changes.map(() => null)
      },
      changeStatements: (changes, node) => [{ text: CHANGE, values: [changes, node] }],
      push: (q, work, o) => (o?.tx === undefined ? pushAlone(q, work) : pushIn(q, work, o.tx)),
    },
    async begin() {
      const held: Held[] = []
      const tx = openTx(held)
      const end = {
        async commit(): Promise<void> {
          open.delete(tx)
          for (const { write } of held) await write()
        },
        async rollback(): Promise<void> {
          open.delete(tx)
        },
      }
      return { tx, ...end, prepare: async () => end }
    },
  }
}
