import type { Clock, Duration } from '@keelson/kernel/core'
import type { Op, OpResult } from '../wire.ts'
import type { Round } from './rounds.ts'
import type { ClientStore } from './store.ts'
import type { HeadersLike } from './transport.ts'

/** One tab at a time does something: the part of the browser's LockManager that is used. */
export interface Locks {
  request<T>(name: string, o: { signal: AbortSignal }, fn: () => Promise<T>): Promise<T>
}

/** What `createSyncClient` takes. */
export interface SyncClientOptions {
  /** Where the server's routes are: absolute, or a path of the page. */
  url: string
  store: ClientStore
  /** Those that this device works with. Higher `priority` (default 0) is sent first. */
  collections: Readonly<Record<string, { readonly priority?: number }>>
  /** Asked before every request: the credentials of who is signed in now. */
  headers?(): HeadersLike | Promise<HeadersLike>
  fetch?: typeof fetch
  /** Default `'30s'`: how often the server is asked when nothing happens here. False: only behind an edit, or by `sync`. */
  interval?: Duration | false
  /** Default false. True: one request waits at the server, which answers when there is news. */
  live?: boolean
  /** Default the browser's, where there are some. */
  locks?: Locks
  clock?: Clock
  /** Pauses behind failures: at random up to `min` (default `'1s'`), doubled each time up to `max` (default `'5m'`). */
  retry?: { readonly min?: Duration; readonly max?: Duration }
  /** Of the application's documents: a server with a higher one answers that this client is too old. */
  schemaVersion?: number
}

/** An edit that is kept. */
export interface OpRef {
  /** Its id: what `dep` of a later one names. */
  readonly op: string
  /** What the server said, once it has. Waits for as long as that takes; an edit of an earlier start has none. */
  readonly settled: Promise<OpResult>
}

/** Records of one collection. Documents that go in and come out are copies. */
export interface ClientCollection<T> {
  /** The record is there with these fields; others that it has stay. Resolves when it is kept on this device. */
  put(id: string, doc: T): Promise<OpRef>
  /** These fields change. `dep`: an edit that must count before this one may. */
  patch(id: string, set: Partial<T>, o?: { unset?: readonly (keyof T & string)[]; dep?: string }): Promise<OpRef>
  delete(id: string): Promise<OpRef>
  /** As the server told it, with what is pending here on top. */
  get(id: string): Promise<T | undefined>
  all(): Promise<{ id: string; doc: T; pending: boolean }[]>
  /** Tells ids of records that changed, here or at the server. Returns what ends it. */
  watch(fn: (changed: ReadonlySet<string>) => void): () => void
}

/** An edit that came to nothing. It stays until one of its functions is called. */
export interface Issue {
  readonly op: string
  readonly c: string
  readonly id: string
  /** Of the server: `gone`, `stale-base`, `forbidden`, ... */
  readonly code: string
  readonly detail?: string
  /** The document as the user had it; null: they deleted it. */
  readonly mine: object | null
  /** As the server has it; null: it has none, or does not show it. */
  readonly theirs: object | null
  /** The same edit once more, as old as it is. */
  retry(): Promise<OpRef | undefined>
  discard(): Promise<void>
  /** The edit anew, by somebody who has seen theirs: it wins, and brings back what was deleted. */
  keepMine(): Promise<OpRef | undefined>
}

/** How it stands. */
export interface ClientStatus {
  /** `auth`: sign in again; `upgrade`: the server does not understand this client; `blocked`: the device's store fails. */
  readonly state: 'idle' | 'syncing' | 'offline' | 'auth' | 'upgrade' | 'blocked'
  /** When all was here that there was, in ms since 1970 by the server's clock. */
  readonly lastSyncedAt: number | null
  /** By how many ms the server's clock is ahead of this device's. */
  readonly offset: number
  /** Of the last failure; gone with the next success. */
  readonly error?: string
}

/** What `on` tells, by name. */
export interface ClientEvents {
  status: ClientStatus
  issue: Issue
  /** Fields whose newer value is somebody else's; `['*']`: the whole record is. */
  lost: { readonly c: string; readonly id: string; readonly fields: readonly string[] }
  progress: { readonly pushed: number; readonly pulled: number; readonly pending: number }
}

/** What is not at the server yet. */
export interface PendingEdits {
  readonly count: number
  /** Of their JSON. */
  readonly bytes: number
  /** In ms since 1970 by the server's clock. */
  readonly oldestAt: number | null
  /** `collection/id`, each once. */
  readonly records: string[]
}

/**
 * A device. What is read without waiting (`id`, `pending`, `issues`, `status`) is empty until anything of it that waits
 * has resolved.
 */
export interface SyncClient {
  /** As the server knows it. Changes when a copy of its store turns up somewhere else, or somebody else signs in. */
  readonly id: string
  /** @throws SyncClientError INPUT_INVALID for one that the options do not name */
  collection<T extends object>(name: string): ClientCollection<T>
  pending(): PendingEdits
  /** What the server has not settled, in the order of its making. Also when nothing can be sent. */
  exportPending(): AsyncIterable<{ c: string; id: string; op: Op }>
  issues(): Issue[]
  status(): ClientStatus
  /**
   * Sends what is pending and takes what is new; joins a round that runs. Nothing is lost when it rejects.
   * @throws SyncClientError OFFLINE, AUTH, UPGRADE, STORE, CLOSED
   */
  sync(): Promise<Round>
  /**
   * Removes all that this device knows.
   * @throws SyncClientError UNSENT_CHANGES while edits are pending or wait for the user, unless `force`
   */
  signOut(o?: { force?: boolean }): Promise<void>
  /** Returns what ends it. What a listener throws is reported as an unhandled error, and disturbs nobody. */
  on<E extends keyof ClientEvents>(event: E, fn: (x: ClientEvents[E]) => void): () => void
  /** From now on rounds run by themselves. Resolves when what the device knows is read. Repeatable. */
  start(): Promise<void>
  /** No more rounds by themselves. What is under way is given up, and asked for again later. */
  stop(): Promise<void>
  /** Stops, and closes the store. Repeatable. */
  close(): Promise<void>
}
