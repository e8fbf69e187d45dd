import { randomUUID } from 'node:crypto'
import type { Database, Statement, Tx } from '@keelson/kernel'
import type { Subject } from '@keelson/kernel/conformance'
import type { RefDigest } from '../ref.ts'
import type { TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from '../store.ts'
import type { TransactionalStoreUnderTest } from './store-under-test.ts'
import { without } from './without.ts'

type Work<T> = (tx: Tx) => Promise<TransactionEnd<T>>
type Changes = Partial<TransactionalStore>
type Settle = TransactionalStore['settle']

/** A good store with a claim that is wrong. */
function claims(store: TransactionalStore, wrong: (claim: TransactionClaim) => TransactionClaim): Changes {
  return { within: (ref, claim, work) => store.within(ref, wrong(claim), work) }
}

/** A good store whose work ends in a wrong way. */
function ends(store: TransactionalStore, wrong: <T>(end: TransactionEnd<T>) => TransactionEnd<T>): Changes {
  return {
    within: <T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>) =>
      store.within<T>(ref, claim, async (tx) => wrong(await work(tx))),
  }
}

/** A good store that tells something wrong of what it did. */
function tells(store: TransactionalStore, wrong: <T>(result: WithinResult<T>) => WithinResult<T>): Changes {
  return {
    within: async <T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>) =>
      wrong(await store.within<T>(ref, claim, work)),
  }
}

async function runAll(on: Pick<Database, 'query'>, statements: readonly Statement[]): Promise<void> {
  for (const { text, values } of statements) await on.query(text, values)
}

/** The work and its effects in a transaction that knows of no record. */
async function runAlone<T>(db: Database, retries: number, work: Work<T>): Promise<TransactionEnd<T>> {
  let end: TransactionEnd<T> | undefined
  const back = new Error('rolled back as asked')
  try {
    await db.transaction(async (tx) => {
      await tx.query('savepoint alone')
      end = await work(tx)
      if (end.end === 'rollback') throw back
      if (end.end === 'remember') await tx.query('rollback to savepoint alone')
      await runAll(tx, end.statements)
    })
  } catch (error) {
    if (retries > 0 && ['40001', '40P01'].includes((error as { code?: string }).code!)) {
      return runAlone(db, retries - 1, work)
    }
    if (error !== back) throw error
  }
  return end!
}

const NO_ANSWER = new Uint8Array(0)

/** One fault each; the name says what is wrong. */
const faults: Record<string, (store: TransactionalStore, db: Database) => Changes> = {
  'answer stored after COMMIT': (store, db) => ({
    async within<T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>): Promise<WithinResult<T>> {
      const nonce = Buffer.from(claim.operationId.replaceAll('-', ''), 'hex')
      const begin = await store.begin(ref, { ...claim, nonce, leaseMs: claim.stallMs, onLapsed: 'take' })
      if (begin.kind !== 'yours') return begin as WithinResult<T>
      const own = { nonce, fence: begin.fence }
      try {
        const end = await runAlone(db, claim.retries, work)
        const bytes = end.end === 'rollback' ? undefined : end.bytes
        const as = bytes === undefined ? ({ kind: 'tombstone' } as const) : ({ kind: 'done', bytes } as const)
        await store.settle(ref, own, end.end === 'rollback' ? { kind: 'release' } : as, claim.retainMs)
        return { kind: 'ran', value: end.value, stored: bytes !== undefined, attempt: begin.attempt }
      } catch (error) {
        await store.settle(ref, own, { kind: 'release' }, claim.retainMs)
        throw error
      }
    },
  }),
  'look, then run, then store': (store, db) => ({
    async within<T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>): Promise<WithinResult<T>> {
      if ((await store.peek(ref)) !== null) return store.within<T>(ref, claim, work)
      const end = await runAlone(db, claim.retries, work)
      return store.within<T>(ref, claim, async () => (end.end === 'rollback' ? end : { ...end, statements: [] }))
    },
  }),
  'effects after COMMIT': (store, db) => ({
    async within<T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>) {
      let later: readonly Statement[] = []
      const result = await store.within<T>(ref, claim, async (tx) => {
        const end = await work(tx)
        if (end.end === 'rollback') return end
        later = end.statements
        return { ...end, statements: [] }
      })
      await runAll(db, later)
      return result
    },
  }),
  'effects without their last statement': (store) =>
    ends(store, (end) => (end.end === 'rollback' ? end : { ...end, statements: end.statements.slice(0, -1) })),
  'effects in any order': (store) =>
    ends(store, (end) => (end.end === 'rollback' ? end : { ...end, statements: end.statements.toReversed() })),
  'effects run twice': (store) =>
    ends(store, (end) =>
      end.end === 'rollback' ? end : { ...end, statements: [...end.statements, ...end.statements] },
    ),
  'remember keeps business rows': (store) =>
    ends(store, (end) => (end.end === 'remember' ? { ...end, end: 'commit' } : end)),
  'remember drops its effects': (store) =>
    ends(store, (end) => (end.end === 'remember' ? { ...end, statements: [] } : end)),
  'remember is a rollback': (store) =>
    ends(store, (end) => (end.end === 'remember' ? { end: 'rollback', value: end.value } : end)),
  'commit takes the business rows back': (store) =>
    ends(store, (end) => (end.end === 'commit' ? { ...end, end: 'remember' } : end)),
  '5xx remembered': (store) =>
    ends(store, (end) =>
      end.end === 'rollback' ? { end: 'remember', bytes: NO_ANSWER, statements: [], value: end.value } : end,
    ),
  'a rollback keeps the claim': (store) =>
    ends(store, (end) =>
      end.end === 'rollback' ? { end: 'remember', bytes: undefined, statements: [], value: end.value } : end,
    ),
  'a rollback commits the business rows': (store) => ({
    async within<T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>) {
      let back = false
      const result = await store.within<T>(ref, claim, async (tx) => {
        const end = await work(tx)
        back = end.end === 'rollback'
        return end.end === 'rollback' ? { end: 'commit', bytes: undefined, statements: [], value: end.value } : end
      })
      if (back) await store.clear(ref, 'forget')
      return result
    },
  }),
  'a throw keeps the claim': (store) => ({
    async within<T>(ref: RefDigest, claim: TransactionClaim, work: Work<T>) {
      let thrown: { error: unknown } | undefined
      const result = await store.within<T>(ref, claim, async (tx) => {
        thrown = undefined
        return work(tx).catch((error: unknown) => {
          thrown = { error }
          return { end: 'remember', bytes: undefined, statements: [], value: undefined as T }
        })
      })
      if (thrown !== undefined) throw thrown.error
      return result
    },
  }),
  'a throw comes out in other words': (store) => ({
    within: (ref, claim, work) =>
      store.within(ref, claim, work).catch((cause: unknown) => {
        throw new Error('the work failed', { cause })
      }),
  }),
  'a throw is tried again': (store) => ({
    within: (ref, claim, work) => store.within(ref, claim, work).catch(() => store.within(ref, claim, work)),
  }),
  'an answer without bytes is an empty one': (store) =>
    ends(store, (end) => (end.end === 'rollback' ? end : { ...end, bytes: end.bytes ?? NO_ANSWER })),
  'an empty answer leaves a tombstone': (store) =>
    ends(store, (end) => (end.end === 'rollback' || end.bytes?.length !== 0 ? end : { ...end, bytes: undefined })),
  'no wait': (store) => claims(store, (claim) => ({ ...claim, waitMs: 0 })),
  'no restarts': (store) => claims(store, (claim) => ({ ...claim, retries: 0 })),
  'one restart too many': (store) => claims(store, (claim) => ({ ...claim, retries: claim.retries + 1 })),
  'mismatch is not seen': (store) => claims(store, (claim) => without(claim, 'fingerprint')),
  'the trace is lost': (store) => claims(store, (claim) => without(claim, 'trace')),
  'an operation id of its own': (store) => claims(store, (claim) => ({ ...claim, operationId: randomUUID() })),
  'retention of another record': (store) =>
    claims(store, (claim) => ({ ...claim, retainMs: 2 * claim.retainMs + 60_000 })),
  'all that ran is stored': (store) =>
    tells(store, (result) => (result.kind === 'ran' ? { ...result, stored: true } : result)),
  'every run is the first attempt': (store) =>
    tells(store, (result) => (result.kind === 'ran' ? { ...result, attempt: 1 } : result)),
  'what is held is forgotten first': (store) => ({
    async within(ref, claim, work) {
      await store.clear(ref, 'forget')
      return store.within(ref, claim, work)
    },
  }),
  'a lapsed record stays held': (store) => ({
    async within(ref, claim, work) {
      const view = await store.peek(ref)
      if (view?.leaseLeftMs === 0) return { kind: 'unknown' }
      return store.within(ref, claim, work)
    },
  }),
  'settle drops its effects': (store) => ({
    settle: (ref, own, as, retainMs) => store.settle(ref, own, as, retainMs),
  }),
  'a doubled effect on repeat': (store, db) => ({
    async settle(...[ref, own, as, retainMs, statements = []]: Parameters<Settle>) {
      const settled = await store.settle(ref, own, as, retainMs)
      if (settled === 'ok') await runAll(db, statements)
      return settled
    },
  }),
  'effects before the fence': (store, db) => ({
    async settle(...[ref, own, as, retainMs, statements = []]: Parameters<Settle>) {
      await db.transaction((tx) => runAll(tx, statements))
      return store.settle(ref, own, as, retainMs)
    },
  }),
  'a settle whose effects fail has ended': (store) => ({
    settle: (ref, own, as, retainMs, statements, limit) =>
      store.settle(ref, own, as, retainMs, statements, limit).catch(async (error: unknown) => {
        await store.settle(ref, own, as, retainMs)
        throw error
      }),
  }),
}

/**
 * Transactional stores that are broken on purpose, each in one way, for `scoreMutants`: faults laid over a good store,
 * since they need its database. Without the ability 'parallel' some of them cannot be told from a good one.
 */
export function brokenTransactionalStores(
  good: Subject<TransactionalStoreUnderTest>,
): Record<string, Subject<TransactionalStoreUnderTest>> {
  return Object.fromEntries(
    Object.entries(faults).map(([name, fault]) => [
      name,
      {
        ...good,
        async make() {
          const made = await good.make()
          const { store, db, elapse } = made
          return {
            store: changed(store, fault(store, db)),
            db,
            ...(elapse === undefined ? {} : { elapse: (ms: number) => made.elapse!(ms) }),
            dispose: () => made.dispose(),
          }
        },
      },
    ]),
  )
}

/** A store with some methods replaced, whatever it is made of. */
function changed(store: TransactionalStore, changes: Changes): TransactionalStore {
  return new Proxy(store, {
    get(target, name) {
      if (name in changes) return changes[name as keyof Changes]
      const own: unknown = Reflect.get(target, name)
      return typeof own === 'function' ? (own.bind(target) as unknown) : own
    },
  })
}
