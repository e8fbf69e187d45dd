import { canonical, compareBytes } from './canonical.ts'
import type { Json } from './json.ts'
import { stampOf, type RecordState, type Register } from './record.ts'
import { nodeOf, stampAfter, type Stamp } from './stamp.ts'

/** Of two writes of a field: the later one wins, or the one that knew what it overwrites. */
export type FieldRule = 'lww' | 'strict'

/** Fields that are not named are 'lww' here: whether a field may be written was decided before. */
export type FieldRules = Readonly<Record<string, FieldRule>>

/** What is done to one record, at a time that was agreed upon. */
export interface StampedOp {
  readonly t: 'put' | 'patch' | 'delete'
  readonly h: Stamp
  readonly set?: Readonly<Record<string, Json>>
  readonly unset?: readonly string[]
  /** What the writer of strict fields had read: their stamps, or the record's `h`. */
  readonly base?: Stamp | Readonly<Record<string, Stamp>>
}

/** `lost`: fields whose value here is a newer one; `['*']` where the whole record is. */
export type MergeResult =
  | {
      readonly kind: 'applied'
      readonly record: RecordState
      /** Fields that the document has another value for. */
      readonly changed: readonly string[]
      readonly lost: readonly string[]
    }
  /** Nothing newer came; what is stored stays. */
  | { readonly kind: 'superseded'; readonly lost: readonly string[] }
  /** It is so already: nothing is there to delete, or the values are. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'conflict'; readonly code: 'gone' | 'stale-base' }

const ALL: readonly string[] = ['*']

/**
 * What an operation makes of a record. Pure: the one code of server, client and memory store. Writes of a live record
 * commute: a field's value is that of its highest stamp, and of equal stamps that of the higher canonical bytes.
 */
export function merge(record: RecordState | undefined, op: StampedOp, rules: FieldRules): MergeResult {
  if (op.t === 'delete') return mergeDelete(record, op.h)
  if (record === undefined || record.isDeleted) {
    if (op.t === 'patch') return { kind: 'conflict', code: 'gone' }
    if (record !== undefined && op.h <= record.h) return { kind: 'superseded', lost: ALL }
  } else if (isStale(record, op, rules)) return { kind: 'conflict', code: 'stale-base' }
  return mergeWrite(record, op, rules)
}

function mergeDelete(record: RecordState | undefined, h: Stamp): MergeResult {
  if (record === undefined || record.isDeleted) return { kind: 'nothing' }
  if (h <= record.h) return { kind: 'superseded', lost: ALL }
  const registers: Record<string, Register> = {}
  const changed: string[] = []
  for (const [field, register] of Object.entries(record.registers)) {
    registers[field] = [stampOf(register)]
    if (register.length === 2) changed.push(field)
  }
  return { kind: 'applied', record: { registers, h, deletedAt: h, isDeleted: true }, changed, lost: [] }
}

function mergeWrite(record: RecordState | undefined, op: StampedOp, rules: FieldRules): MergeResult {
  const registers: Record<string, Register> = { ...record?.registers }
  const changed: string[] = []
  const lost: string[] = []
  let h = record === undefined || op.h > record.h ? op.h : record.h
  let won = record === undefined || record.isDeleted
  for (const [field, value] of writesOf(op)) {
    const held = heldIn(registers, field)
    // Who read a strict field as it is comes after all that was done to its record: so one stamp says what was read.
    const stamp = isStrict(rules, field) && record !== undefined ? later(op.h, record.h) : op.h
    const register: Register = value === undefined ? [stamp] : [value, stamp]
    if (held !== undefined && isSameValue(held, register)) {
      if (stamp > stampOf(held)) [registers[field], won] = [register, true]
    } else if (record?.deletedAt !== undefined && stamp <= record.deletedAt) lost.push(field)
    else if (held === undefined || isNewer(register, held)) {
      registers[field] = register
      won = true
      if (held !== undefined || value !== undefined) changed.push(field)
    } else lost.push(field)
    if (stamp > h && heldIn(registers, field) === register) h = stamp
  }
  if (!won) return lost.length > 0 ? { kind: 'superseded', lost } : { kind: 'nothing' }
  const deletedAt = record?.deletedAt
  const merged = { registers, h, ...(deletedAt === undefined ? {} : { deletedAt }), isDeleted: false }
  return { kind: 'applied', record: merged, changed, lost }
}

function* writesOf({ set, unset }: StampedOp): Iterable<readonly [field: string, value: Json | undefined]> {
  yield* Object.entries(set ?? {})
  for (const field of unset ?? []) yield [field, undefined]
}

const later = (own: Stamp, other: Stamp): Stamp => (own > other ? own : stampAfter(other, nodeOf(own)))

function isStale(record: RecordState, op: StampedOp, rules: FieldRules): boolean {
  for (const [field] of writesOf(op)) {
    const held = heldIn(record.registers, field)
    if (!isStrict(rules, field) || held === undefined) continue
    const isRead = typeof op.base === 'object' ? op.base[field] === stampOf(held) : stampOf(held) <= (op.base ?? '')
    if (!isRead) return true
  }
  return false
}

const isStrict = (rules: FieldRules, field: string): boolean => Object.hasOwn(rules, field) && rules[field] === 'strict'

/** A field may have any name, also one of Object.prototype's. */
const heldIn = (registers: RecordState['registers'], field: string): Register | undefined =>
  Object.hasOwn(registers, field) ? registers[field] : undefined

function isSameValue(a: Register, b: Register): boolean {
  if (a.length === 1 || b.length === 1) return a.length === b.length
  if (typeof a[0] !== 'object' || typeof b[0] !== 'object') return a[0] === b[0]
  return canonical(a[0]) === canonical(b[0])
}

/** Of different values; absent is below every value. */
function isNewer(register: Register, held: Register): boolean {
  const [own, other] = [stampOf(register), stampOf(held)]
  if (own !== other) return own > other
  if (register.length === 1 || held.length === 1) return register.length > held.length
  return compareBytes(canonical(register[0]), canonical(held[0])) > 0
}
