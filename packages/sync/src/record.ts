import type { Json } from './json.ts'
import type { Stamp } from './stamp.ts'

/** What a field holds, and since when; without a value the field is absent. */
export type Register = readonly [value: Json, stamp: Stamp] | readonly [stamp: Stamp]

/**
 * A record as every replica merges it: one register a field. A deleted one is a tombstone: its registers keep their stamps
 * and lose their values, so that nothing older comes back.
 */
export interface RecordState {
  readonly registers: Readonly<Record<string, Register>>
  /** The highest stamp of all that was done to it. */
  readonly h: Stamp
  /** Of its last deletion: what is not newer is dead, also when it lives again. */
  readonly deletedAt?: Stamp
  readonly isDeleted: boolean
}

export const stampOf = (register: Register): Stamp => register.at(-1) as Stamp

/** Its fields that are there. */
export function documentOf({ registers }: RecordState): Record<string, Json> {
  const doc: Record<string, Json> = {}
  for (const [field, register] of Object.entries(registers)) {
    if (register.length === 2) doc[field] = register[0]
  }
  return doc
}
