import { AuditError } from '../error.ts'
import type { Delta, Head, Row } from '../store.ts'
import type { StoredEntry } from './entry-frame.ts'
import type { Journal } from './journal.ts'

const READ_BYTES = 8 << 20

/** Entries behind a position: those that are there, and the positions of those that are lost. */
export interface Waiting {
  readonly entries: readonly { readonly position: number; readonly entry: StoredEntry }[]
  readonly lost: readonly number[]
  /** All positions below it were looked at. */
  readonly upTo: number
}

/** The oldest entries from a position on. */
export async function readWaiting(journal: Journal, from: number, max: number): Promise<Waiting> {
  const end = journal.end
  const entries: { position: number; entry: StoredEntry }[] = []
  const lost: number[] = []
  let position = from
  while (position < end && entries.length < max) {
    const read = await journal.read(position, Math.min(end, position + max - entries.length), READ_BYTES)
    for (const entry of read) {
      if (entry === null) lost.push(position)
      else entries.push({ position, entry })
      position++
    }
  }
  return { entries, lost, upTo: position }
}

/** What sealing needs of an entry: its keys are none of the tree's. */
export function rowOf({ id, bytes }: StoredEntry): Row {
  return { id, bytes, keys: [] }
}

/** @throws AuditError STORE_CORRUPT for what does not continue the head */
export function checkDelta({ leaves, head }: Delta, from: Head, rows: readonly Row[]): void {
  const follows = leaves.every(({ index, id }, i) => index === from.size + i && id === rows[i]?.id)
  if (!follows || leaves.length !== rows.length || head.size !== from.size + rows.length)
    throw new AuditError('STORE_CORRUPT', `${leaves.length} leaves do not follow a tree of ${from.size}`)
}
