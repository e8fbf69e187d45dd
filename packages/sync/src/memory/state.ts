import { uuidv7, type Clock } from '@keelson/kernel'
import { keyText } from '../record-key.ts'
import type { ClientRow, ConflictRow, RecordKey, ResultRow, StoredRecord } from '../store.ts'

/** A record as it is kept. */
export interface Kept {
  readonly record: StoredRecord
  /** The transaction that wrote it, and the one that first did. */
  readonly tx: number
  readonly createdTx: number
  readonly atMs: number
  /** The person it is about, as a digest; a tombstone keeps it. */
  readonly subject: string | undefined
  /** Devices that wrote it. */
  readonly clients: ReadonlySet<string>
}

/** What a transaction writes of a record. */
export interface Write {
  readonly record: StoredRecord
  /** Absent: it stays. */
  readonly subject?: string | undefined
  readonly client?: string
}

/** What became of an operation. */
interface KeptResult extends ResultRow {
  readonly client: string
  readonly atMs: number
  readonly correlationId: string | undefined
}

/** All records of a scope. */
interface Scope {
  readonly rows: Map<string, Kept>
  /** The last transaction that wrote here. */
  tx: number
}

/** All that a store keeps. Who writes to it does it in one go, when the lock is theirs: nothing here waits. */
export interface State {
  /** Ms since 1970 by the store's clock. */
  now(): number
  /** Of this store alone: snapshots of another one mean nothing here. */
  readonly history: string
  era: number
  /** The last transaction. */
  tx: number
  /** The last version whose tombstones are gone. */
  horizon: { readonly tx: number; readonly atMs: number } | undefined
  readonly scopes: Map<string, Scope>
  readonly clients: Map<string, ClientRow>
  /** By client and operation. */
  readonly results: Map<string, KeptResult>
  readonly conflicts: Map<string, ConflictRow>
  /** Whom they are about, as digests. */
  readonly conflictSubjects: Map<string, readonly string[]>
}

export function createState(clock: Clock): State {
  // One time for all: the wall clock when it began, and then only what has elapsed.
  const beganMs = clock.now() - clock.monotonic()
  return {
    now: () => Math.floor(beganMs + clock.monotonic()),
    history: uuidv7(clock),
    era: 1,
    tx: 0,
    horizon: undefined,
    scopes: new Map(),
    clients: new Map(),
    results: new Map(),
    conflicts: new Map(),
    conflictSubjects: new Map(),
  }
}

export const find = ({ scopes }: State, key: RecordKey): Kept | undefined =>
  scopes.get(key.scope)?.rows.get(keyText(key))

export const resultKey = (client: string, op: string): string => `${client} ${op}`

/** One transaction. No record is in it twice. */
export function commit(state: State, writes: readonly Write[]): void {
  if (writes.length === 0) return
  const tx = ++state.tx
  const atMs = state.now()
  for (const { record, client, ...more } of writes) {
    const before = find(state, record)
    const clients = new Set(before?.clients)
    if (client !== undefined) clients.add(client)
    const { rows } = scopeOf(state, record.scope, tx)
    rows.set(keyText(record), {
      record,
      tx,
      createdTx: before?.createdTx ?? tx,
      atMs,
      subject: 'subject' in more ? more.subject : before?.subject,
      clients,
    })
  }
}

/** A scope is there from its first record on. */
function scopeOf({ scopes }: State, name: string, tx: number): Scope {
  let scope = scopes.get(name)
  if (scope === undefined) scopes.set(name, (scope = { rows: new Map(), tx }))
  scope.tx = tx
  return scope
}
