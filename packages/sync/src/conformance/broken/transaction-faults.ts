import type { Tx } from '@keelson/kernel'
import { keyText } from '../../record-key.ts'
import type { SyncStore } from '../../store.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import type { Transactional } from './with-transactions.ts'

/** Which parts of a good store with transactions are other ones; `bare`: it without them. */
export type TransactionFault = (good: Transactional, bare: SyncStore) => Partial<StoreUnderTest>

/** Begun transactions that end wrongly. */
const ends =
  (
    wrong: (one: Awaited<ReturnType<Transactional['begin']>>) => Awaited<ReturnType<Transactional['begin']>>,
  ): TransactionFault =>
  ({ begin }) => ({ begin: async () => wrong(await begin()) })

const keysOf = ({ open }: Transactional): Set<string> =>
  new Set([...open.values()].flat().flatMap(({ keys }) => keys.map(keyText)))

export const transactionFaults: Record<string, TransactionFault> = {
  'a sequence is the cursor: who commits late is skipped': (good) => {
    const skipped = new Map<string, Set<string>>()
    return {
      store: {
        ...good.store,
        async pull(q) {
          const late = keysOf(good)
          const pulled = await good.store.pull(q)
          if (pulled.kind !== 'page') return pulled
          if (pulled.rows.length > 0) skipped.set(pulled.target, late)
          const hidden = (q.floor !== null && skipped.get(q.floor)) || new Set()
          return { ...pulled, rows: pulled.rows.filter((row) => !hidden.has(keyText(row))) }
        },
      },
    }
  },
  'nobody is told anything while a transaction is open': (good) => {
    let before: string | undefined
    return {
      async begin() {
        before ??= (await good.store.changed(null, [])).token
        return good.begin()
      },
      store: {
        ...good.store,
        async pull(q) {
          if (good.open.size === 0) before = undefined
          return good.store.pull(before === undefined || q.target !== undefined ? q : { ...q, target: before })
        },
      },
    }
  },
  'a commit between two pages comes into them': (good) => {
    const targets = new Map<string, Set<string>>()
    return {
      store: {
        ...good.store,
        async pull(q) {
          const pulled = await good.store.pull(q)
          if (pulled.kind !== 'page') return pulled
          if (q.target === undefined) {
            targets.set(pulled.target, keysOf(good))
            return pulled
          }
          if (pulled.more) return pulled
          const late = targets.get(q.target) ?? new Set()
          const all = await good.store.pull({ scopes: q.scopes, collections: null, floor: q.target, limit: 1_000 })
          const more = all.kind === 'page' ? all.rows.filter((row) => late.has(keyText(row))) : []
          return { ...pulled, rows: [...pulled.rows, ...more] }
        },
      },
    }
  },
  'what is not committed is there': (good, bare) => ({
    store: { ...good.store, change: (all, node) => bare.change(all, node) },
  }),
  'a push does not wait for its transaction': (good, bare) => ({
    store: { ...good.store, push: (q, work, o) => (o === undefined ? good.store : bare).push(q, work) },
  }),
  'what is rolled back is there': ends((one) => ({ ...one, rollback: one.commit })),
  'a savepoint takes nothing back': ends((one) => ({ ...one, tx: deaf(one.tx) })),
  'a prepared transaction is lost': ends((one) => ({
    ...one,
    prepare: async () => ({ ...one, commit: one.rollback }),
  })),
  'what somebody else writes may be written': (good, bare) => ({
    store: { ...good.store, push: (q, work, o) => (o === undefined ? bare : good.store).push(q, work, o) },
  }),
  'a push is busy as a whole': (good) => ({
    store: {
      ...good.store,
      push: (q, work, o) =>
        good.store.push(
          q,
          ({ state, ...pushing }) =>
            work({ ...pushing, state: { ...state, busy: state.busy.length > 0 ? q.keys : [] } }),
          o,
        ),
    },
  }),
  'changes as statements are lost': (good) => ({ store: { ...good.store, changeStatements: () => [] } }),
  'effects of a push are not run': (good) => ({
    store: {
      ...good.store,
      push: (q, work, o) =>
        good.store.push(
          q,
          async (pushing) => {
            const made = await work(pushing)
            return { ...made, writes: { ...made.writes, statements: [] } }
          },
          o,
        ),
    },
  }),
  'what failed as it was tried stays': (good) => ({
    store: {
      ...good.store,
      push: (q, work, o) => good.store.push(q, (pushing) => work({ ...pushing, attempt: async (fn) => fn() }), o),
    },
  }),
  'who waits is not told of a late commit': (good) => {
    const late = new Set<string>()
    return {
      store: {
        ...good.store,
        async changed(since, scopes) {
          const found = await good.store.changed(since, scopes)
          if (good.open.size > 0) late.add(found.token)
          return since !== null && late.has(since) ? { ...found, scopes: [] } : found
        },
      },
    }
  },
}

/** Hears the statements of savepoints only. */
const deaf = (tx: Tx): Tx => Object.assign(tx, { query: async () => ({ rows: [] }) })
