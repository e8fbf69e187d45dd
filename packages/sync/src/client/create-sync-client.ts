import { parseStamp } from '../stamp.ts'
import type { Op, OpResult } from '../wire.ts'
import { createBackground } from './background.ts'
import { createDeviceClock } from './device-clock.ts'
import { copyOf, createEditing, type Edit, type Editing } from './editing.ts'
import { SyncClientError, type SyncClientErrorCode } from './error.ts'
import { createEmitter } from './events.ts'
import { issueOf } from './issues.ts'
import { freshMeta, randomText } from './meta.ts'
import { checkOptions } from './options.ts'
import { docOf } from './overlay.ts'
import { isPending, openReplica, opKey, type Pending, type Replica } from './replica.ts'
import { createRounds, type Round, type Rounds } from './rounds.ts'
import type {
  ClientCollection,
  ClientEvents,
  ClientStatus,
  Issue,
  OpRef,
  SyncClient,
  SyncClientOptions,
} from './sync-client.ts'
import { createTransport } from './transport.ts'

const STATES: Partial<Record<SyncClientErrorCode, ClientStatus['state']>> = {
  OFFLINE: 'offline',
  AUTH: 'auth',
  UPGRADE: 'upgrade',
  STORE: 'blocked',
}

interface Opened {
  readonly replica: Replica
  readonly editing: Editing
  readonly rounds: Rounds
}

/**
 * A device that works without a network: what it edits is kept in `store` and sent when the server can be reached, what
 * it reads is there. One sender at a time where tabs share a store; several are harmless.
 * @throws SyncClientError OPTION_INVALID
 */
export function createSyncClient(o: SyncClientOptions): SyncClient {
  const given = checkOptions(o)
  const { clock, priorities } = given
  const tab = randomText(8)
  const device = createDeviceClock(clock)
  const events = createEmitter<ClientEvents>()
  const watchers = createEmitter<Record<string, ReadonlySet<string>>>()
  const transport = createTransport(given)
  let opened: Opened | undefined
  let state: ClientStatus['state'] = 'idle'
  let failure: string | undefined
  let isClosed = false
  let closing: Promise<void> | undefined
  let giveUp = new AbortController()
  /** Counts starts and stops: the last one is meant. */
  let wishes = 0
  let round: Promise<Round> | undefined

  let changed: Map<string, Set<string>> | undefined
  /** Once for all that one step changes. */
  function tell(c: string, id: string): void {
    if (changed === undefined) {
      changed = new Map()
      queueMicrotask(() => {
        const all = changed!
        changed = undefined
        for (const [name, ids] of all) watchers.emit(name, ids)
      })
    }
    const ids = changed.get(c) ?? new Set()
    changed.set(c, ids.add(id))
  }

  function onChange(c: string, id: string, now?: Pending, before?: Pending): void {
    if (opened === undefined) return
    tell(c, id)
    if (now === undefined) return
    const { replica, editing } = opened
    const result = now.over?.result ?? now.issue?.result
    if (result !== undefined) editing.settled(now.n, result)
    if (now.over !== undefined && before?.over === undefined && now.tab === tab) tellLost(now, now.over.result)
    if (now.issue !== undefined && before?.issue === undefined) {
      events.emit('issue', issueOf({ ...now, issue: now.issue }, replica, editing))
    }
    if (before === undefined && isPending(now)) background.wake()
  }

  function onOver(pending: Pending, result: OpResult): void {
    opened!.editing.settled(pending.n, result)
    tellLost(pending, result)
  }

  function tellLost({ op: { c, id } }: Pending, { lost = [] }: OpResult): void {
    if (lost.length > 0) events.emit('lost', { c, id, fields: lost })
  }

  async function open(): Promise<Opened> {
    const replica = await openReplica(o.store, onChange)
    const editing = createEditing({ replica, tab, ownMs: () => device.now() })
    const { schemaVersion } = given
    const onProgress = (done: { pushed: number; pulled: number }): void =>
      events.emit('progress', { ...done, pending: replica.pending.count })
    const rounds = createRounds({
      replica,
      transport,
      device,
      clock,
      tab,
      priorities,
      schemaVersion,
      onOver,
      onProgress,
    })
    return (opened = { replica, editing, rounds })
  }
  let opening: Promise<Opened> | undefined
  async function ready(): Promise<Opened> {
    if (isClosed) throw new SyncClientError('CLOSED', 'sync: this client was closed')
    // A store that could not be opened is tried again.
    opening ??= open().catch((cause) => {
      opening = undefined
      const error = new SyncClientError('STORE', 'sync: what this device knows cannot be read', { cause })
      become('blocked', error)
      throw error
    })
    return await opening
  }

  function become(next: ClientStatus['state'], error?: Error): void {
    if (state === next && failure === error?.message) return
    state = next
    failure = error?.message
    events.emit('status', client.status())
  }

  async function runRound(): Promise<Round> {
    const { rounds, replica } = await ready()
    const { signal } = giveUp
    become('syncing')
    try {
      const run = (): Promise<Round> => rounds.run(signal)
      const { locks } = given
      const done = await (locks === undefined
        ? run()
        : locks.request(`keelson-sync-round ${replica.meta.place}`, { signal }, run))
      become('idle')
      background.reached()
      return done
    } catch (cause) {
      const error =
        cause instanceof SyncClientError
          ? cause
          : new SyncClientError('OFFLINE', 'sync: the round was given up', { cause })
      if (signal.aborted) become('idle')
      else become(STATES[error.code] ?? 'offline', error)
      throw error
    }
  }
  const sync = (): Promise<Round> => (round ??= runRound().finally(() => (round = undefined)))

  const background = createBackground({
    run: sync,
    wait: async (waitMs, signal) => (await ready()).rounds.wait(waitMs, AbortSignal.any([signal, giveUp.signal])),
    isBehind: () => opened!.rounds.isBehind(),
    clock,
    intervalMs: given.intervalMs,
    live: given.live,
    minMs: given.minMs,
    maxMs: given.maxMs,
    locks: given.locks,
    place: () => opened!.replica.meta.place,
  })

  async function halt(): Promise<void> {
    wishes++
    giveUp.abort()
    await background.stop()
    await round?.catch(() => {})
    giveUp = new AbortController()
  }

  async function end(): Promise<void> {
    await halt()
    await opening?.catch(() => {})
    await o.store.close()
  }

  async function add(edit: Edit): Promise<OpRef> {
    const { editing } = await ready()
    return (await editing.add(edit))!
  }

  function issues(): Issue[] {
    if (opened === undefined) return []
    const { replica, editing } = opened
    return [...replica.ops.values()].flatMap((one) => {
      const { issue } = one
      return issue === undefined ? [] : [issueOf({ ...one, issue }, replica, editing)]
    })
  }

  const pendingOps = (): Pending[] => (opened === undefined ? [] : [...opened.replica.ops.values()].filter(isPending))

  const client: SyncClient = {
    get id() {
      return opened?.replica.meta.client ?? ''
    },
    collection<T extends object>(c: string): ClientCollection<T> {
      if (!priorities.has(c)) {
        throw new SyncClientError(
          'INPUT_INVALID',
          `sync: there is no collection ${JSON.stringify(c)}, only ${[...priorities.keys()].join(', ')}`,
        )
      }
      return {
        put: (id, doc) => add({ c, id, t: 'put', set: doc as Record<string, never> }),
        patch: (id, set, { unset, dep } = {}) =>
          add({ c, id, t: 'patch', set: set as Record<string, never>, ...(unset && { unset }), ...(dep && { dep }) }),
        delete: (id) => add({ c, id, t: 'delete' }),
        async get(id) {
          const { replica } = await ready()
          return copyOf(docOf(replica, c, id)) as T | undefined
        },
        async all() {
          const { replica } = await ready()
          return Array.from(replica.ids(c)).flatMap((id) => {
            const doc = copyOf(docOf(replica, c, id)) as T | undefined
            return doc === undefined ? [] : [{ id, doc, pending: replica.opsOf(c, id).some(isPending) }]
          })
        },
        watch: (fn) => watchers.on(c, fn),
      }
    },
    pending() {
      const ops = pendingOps()
      return {
        count: ops.length,
        bytes: opened?.replica.pending.bytes ?? 0,
        oldestAt: ops[0] === undefined ? null : parseStamp(ops[0].op.h).ms,
        records: [...new Set(ops.map(({ op }) => `${op.c}/${op.id}`))],
      }
    },
    async *exportPending(): AsyncGenerator<{ c: string; id: string; op: Op }> {
      await ready()
      for (const { op } of pendingOps()) yield { c: op.c, id: op.id, op: copyOf(op) }
    },
    issues,
    status: () => ({
      state,
      lastSyncedAt: opened?.replica.meta.syncedMs ?? null,
      offset: opened?.replica.meta.offsetMs ?? 0,
      ...(failure === undefined ? {} : { error: failure }),
    }),
    sync,
    async signOut({ force = false } = {}) {
      const { replica, editing } = await ready()
      const demandNothing = (): void => {
        const count = replica.pending.count + issues().length
        if (count === 0 || force) return
        throw new SyncClientError(
          'UNSENT_CHANGES',
          `sync: ${count} edits are pending or wait for a decision; sync() and issues() settle them, { force: true } loses them`,
        )
      }
      demandNothing()
      await halt()
      await replica.update((meta) => {
        demandNothing()
        const keys = [...replica.recs.keys(), ...Array.from(replica.ops.keys(), opKey)]
        return { entries: keys.map((key) => [key, undefined]), meta: { ...freshMeta(), place: meta.place } }
      })
      editing.abandon()
      become('idle')
    },
    on: (event, fn) => events.on(event, fn),
    async start() {
      const wish = ++wishes
      await ready()
      if (wish === wishes) background.start()
    },
    stop: halt,
    async close() {
      isClosed = true
      return (closing ??= end())
    },
  }
  return client
}
