import type { ClientRow, PushQuery, PushState, PushWrites } from '../store.ts'
import { commit, find, resultKey, type State, type Write } from './state.ts'

/** What is there when a push begins. Nobody else writes meanwhile, so nothing is busy. */
export function readForPush(state: State, { client, keys, ops }: PushQuery): PushState {
  const results = ops.flatMap((op) => state.results.get(resultKey(client, op)) ?? [])
  return {
    nowMs: state.now(),
    client: state.clients.get(client),
    results: new Map(results.map(({ op, fp, result }) => [op, { op, fp, result }])),
    records: keys.flatMap((key) => find(state, key)?.record ?? []),
    busy: [],
  }
}

/** One transaction. What an operation came to is never told differently later. */
export function writePush(state: State, { client }: PushQuery, writes: PushWrites): void {
  const atMs = state.now()
  for (const row of writes.conflicts) {
    state.conflicts.set(row.id, { ...row, status: 'open' })
    // Before its record is written: it met whom that was about.
    const met = find(state, { scope: row.scope, c: row.c, id: row.record })?.subject
    state.conflictSubjects.set(row.id, [
      ...(writes.conflictSubjects.get(row.id) ?? []),
      ...(met === undefined ? [] : [met]),
    ])
  }
  commit(
    state,
    writes.records.map((record, i): Write => {
      const subject = writes.subjects.get(i)
      // A tombstone is about whom its record was.
      return { record, client, ...(record.gone !== undefined && subject === undefined ? {} : { subject }) }
    }),
  )
  for (const row of writes.results) {
    const key = resultKey(client, row.op)
    if (state.results.has(key)) continue
    state.results.set(key, { ...row, client, atMs, correlationId: writes.correlationId })
  }
  for (const id of writes.resolved) {
    const row = state.conflicts.get(id)
    if (row !== undefined) state.conflicts.set(id, { ...row, status: 'resolved' })
  }
  const pulledAtMs = state.clients.get(client)?.pulledAtMs ?? null
  state.clients.set(client, { ...writes.client, pushedAtMs: atMs, pulledAtMs })
}

/** A device that only ever pulled is known by that. */
export function notePull(state: State, client: string, principal: string): void {
  const pulledAtMs = state.now()
  const known: ClientRow = state.clients.get(client) ?? {
    client,
    principal,
    pushed: 0,
    offsetMs: 0,
    pushedAtMs: null,
    pulledAtMs,
  }
  state.clients.set(client, { ...known, pulledAtMs })
}
