import { isKeelsonError, uuidv7, type Clock } from '@keelson/kernel'
import { actorOf } from './actor-of.ts'
import type { Audit, EntryInput, Json } from './audit.ts'
import type { Privacy } from './entry/privacy.ts'
import { AuditError } from './error.ts'
import { systemEntry } from './gaps.ts'
import { checkMembers, checkScope, checkText } from './input.ts'
import type { Sink } from './sink.ts'
import type { AuditStore } from './store.ts'

/** What is erased, kept and dropped. */
export type Stewardship = Pick<Audit, 'eraseSubject' | 'hold' | 'release' | 'applyRetention'>

/** What that needs. */
export interface StewardshipParts {
  readonly log: string
  readonly store: AuditStore
  readonly sinks: readonly Sink[]
  work<T>(fn: () => Promise<T>): Promise<T>
  /** Its entries have keys as well. */
  readonly spool: AuditStore | undefined
  withoutDrain<T>(fn: () => Promise<T>): Promise<T>
  record(entry: EntryInput): Promise<unknown>
  /** Throws what `record` would reject with, whatever the store does. */
  check(entry: EntryInput): void
  readonly privacy: Privacy | undefined
  /** Undefined: for ever. */
  readonly keepMs: number | undefined
  /** Base64. */
  rootAt(): Promise<string>
  readonly clock: Clock
}

const COUNT_STEP = 1_000

export function createStewardship(o: StewardshipParts): Stewardship {
  const { log, store, spool, sinks, work, record, clock } = o

  async function checkNotHeld(owner: string, scope: string | undefined): Promise<void> {
    const holds = await work(() => store.holds(log))
    const held = holds.find((hold) => scope === undefined || hold.scope === scope)
    if (held === undefined) return
    throw new AuditError('HELD', `${owner}: a legal hold ('${held.id}') stands on the scope '${held.scope}'`)
  }

  async function countEntries(scope: string, ref: string): Promise<number> {
    let count = 0
    let after: number | undefined
    for (;;) {
      const page = { scope, ref, order: 'asc' as const, limit: COUNT_STEP, ...(after === undefined ? {} : { after }) }
      const rows = await work(() => store.search(log, page))
      count += rows.length
      if (rows.length < COUNT_STEP) return count
      after = rows.at(-1)!.leaf.index
    }
  }

  /** False: the sink did not say that it has done what it can. */
  async function isReached(sink: Sink, scope: string, ref: string): Promise<boolean> {
    if (sink.erase === undefined) return true
    const late = Promise.withResolvers<boolean>()
    const timer = clock.timer(() => late.resolve(false), sink.timeoutMs, { ref: true })
    const erased = async (): Promise<boolean> => {
      await sink.erase!(scope, ref)
      return true
    }
    try {
      return await Promise.race([erased(), late.promise])
    } catch {
      return false
    } finally {
      timer.cancel()
    }
  }

  /** In the spool first: what is moved out of it must not bring them back. */
  const destroyKeys = (scope: string, ref: string): Promise<number> =>
    o.withoutDrain(async () => {
      const spooled = (await spool?.destroyKeys(log, scope, ref)) ?? 0
      return spooled + (await work(() => store.destroyKeys(log, scope, ref)))
    })

  return {
    async eraseSubject(scope, subject, given) {
      const { reason, by } = checkMembers('eraseSubject', given, ['reason', 'by'])
      checkScope('eraseSubject', scope)
      checkText('eraseSubject', 'subject', subject)
      checkText('eraseSubject', 'reason', reason)
      if (o.privacy === undefined) {
        throw new AuditError('PRIVACY_NOT_CONFIGURED', 'eraseSubject: these options have no "privacy"')
      }
      const ref = o.privacy.pseudonym(scope, subject)
      const told = (entries: number, keys: number): EntryInput => ({
        ...systemEntry('audit.subject.erased', { ref, entries, keys }, scope),
        reason,
        ...(by === undefined ? {} : { actor: actorOf('eraseSubject', by) }),
      })
      // Before anything is gone: nothing may be erased that cannot be told.
      o.check(told(0, 0))
      await checkNotHeld('eraseSubject', scope)
      const entries = await countEntries(scope, ref)
      const keys = await destroyKeys(scope, ref)
      await record(told(entries, keys))
      const reached = await Promise.all(sinks.map((sink) => isReached(sink, scope, ref)))
      return { entries, keys, unreached: sinks.filter((_, i) => !reached[i]).map(({ name }) => name) }
    },

    async hold(given) {
      const { scope, reason } = checkMembers('hold', given, ['scope', 'reason'])
      checkScope('hold', scope)
      checkText('hold', 'reason', reason)
      const id = uuidv7(clock)
      const placed = { ...systemEntry('audit.hold.placed', { hold: id }, scope), reason }
      // Nothing may be held that cannot be told: nobody would know its id.
      o.check(placed)
      await work(() => store.hold(log, { id, scope, reason, atMs: clock.now() }))
      await record(placed)
      return id
    },

    async release(id) {
      const held = (await work(() => store.holds(log))).find((hold) => hold.id === id)
      if (held === undefined) throw new AuditError('NOT_FOUND', 'release: there is no such hold')
      await work(() => store.unhold(log, id))
      await record(systemEntry('audit.hold.released', { hold: id }, held.scope))
    },

    async applyRetention() {
      const { keepMs } = o
      const { pruned } = await work(() => store.head(log))
      if (keepMs === undefined) return { entries: 0, upTo: pruned }
      await checkNotHeld('applyRetention', undefined)
      const upTo = await work(() => store.prunable(log, clock.now() - keepMs))
      if (upTo <= pruned) return { entries: 0, upTo: pruned }
      const data: Record<string, Json> = { from: pruned, upTo, root: await o.rootAt() }
      const isTold = await record(systemEntry('audit.retention', data)).then(
        () => true,
        (error: unknown) => {
          // Only what is dropped makes room for the entry that says so.
          if (isKeelsonError(error, 'STORE_FULL')) return false
          throw error
        },
      )
      const entries = await work(() => store.prune(log, upTo))
      if (!isTold) await record(systemEntry('audit.retention', data))
      return { entries, upTo }
    },
  }
}
