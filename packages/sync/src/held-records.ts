import { keyText } from './record-key.ts'
import type { PushState, RecordKey, StoredRecord } from './store.ts'
import type { Op } from './wire.ts'

/** The records that a push may touch: as it found them, and then as its operations leave them. */
export interface HeldRecords {
  find(key: RecordKey): StoredRecord | undefined
  /** The record of an operation, if the caller may see where it is or was. */
  locate(op: Op): StoredRecord | undefined
  /** Whether another transaction holds it. */
  isBusy(op: Op): boolean
  /** Asks that this one be locked and read too. */
  need(key: RecordKey): void
  write(record: StoredRecord): void
  readonly written: ReadonlyMap<string, StoredRecord>
  /** Those that are neither locked nor known to be away. */
  readonly unknown: readonly RecordKey[]
}

/** Of several records of one id: one that lives, then what was deleted, then what went elsewhere. */
const REACHES = [undefined, 'deleted', 'erased', 'scope'] as const

/**
 * @param scopes what the caller may see, by tag
 * @param known what is locked, whether it is there or not
 */
export function holdRecords(
  state: PushState,
  scopes: ReadonlyMap<string, string>,
  known: ReadonlySet<string>,
): HeldRecords {
  const records = new Map(state.records.map((record) => [keyText(record), record]))
  const busy = new Set(state.busy.map(keyText))
  const written = new Map<string, StoredRecord>()
  const unknown: RecordKey[] = []

  const find = (key: RecordKey): StoredRecord | undefined => records.get(keyText(key))
  const need = (key: RecordKey): void => {
    if (!known.has(keyText(key))) unknown.push(key)
  }

  /** Where the operation says that its record is; undefined: it does not, or what was there is elsewhere now. */
  function placeOf({ c, id, s }: Op): RecordKey | undefined {
    if (s === undefined) return undefined
    const own = { scope: scopes.get(s)!, c, id }
    return find(own)?.gone === 'scope' ? undefined : own
  }

  /** Everywhere. What has moved since the device saw it is looked for where it went. */
  function placesOf({ c, id, s }: Op): readonly RecordKey[] {
    const keys = [...new Set(scopes.values())].map((scope) => ({ scope, c, id }))
    if (s !== undefined) keys.forEach(need)
    return keys
  }

  return {
    find,
    locate(op) {
      const own = placeOf(op)
      if (own !== undefined) return find(own)
      const found = placesOf(op).flatMap((key) => find(key) ?? [])
      return REACHES.map((gone) => found.find((record) => record.gone === gone)).find((record) => record !== undefined)
    },
    isBusy(op) {
      if (busy.size === 0) return false
      const own = placeOf(op)
      return (own === undefined ? placesOf(op) : [own]).some((key) => busy.has(keyText(key)))
    },
    need,
    write(record) {
      const key = keyText(record)
      records.set(key, record)
      written.set(key, record)
    },
    written,
    unknown,
  }
}
