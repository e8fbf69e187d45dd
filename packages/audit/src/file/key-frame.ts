import type { EntryKey, Row } from '../store.ts'
import { closeFrame, FRAME, FRAME_HEAD, frameAt, frameBytes } from './frame.ts'
import { readId, writeId } from './ids.ts'

/*
 * Payload of a key's frame: id of its entry, lengths of scope and ref, scope, ref, wrapped key. A key that is destroyed
 * leaves zeros of the same length, so that entries find the others where they were.
 */
const SCOPE_BYTES = 16
const REF_BYTES = 18
const TEXTS = 20

export function keyFramesBytes(row: Row): number {
  return row.keys.reduce((sum, key) => sum + frameBytes(payloadBytes(key)), 0)
}

function payloadBytes({ scope, ref, wrapped }: Row['keys'][number]): number {
  return TEXTS + Buffer.byteLength(scope) + Buffer.byteLength(ref) + wrapped.length
}

/** The keys of one entry. Answers where the next frame begins. */
export function writeKeys(into: Buffer, at: number, ordinal: number, row: Row): number {
  for (const key of row.keys) {
    const payload = at + FRAME_HEAD
    writeId(row.id, into, payload)
    const scopeBytes = into.write(key.scope, payload + TEXTS)
    const refBytes = into.write(key.ref, payload + TEXTS + scopeBytes)
    into.writeUInt16LE(scopeBytes, payload + SCOPE_BYTES)
    into.writeUInt16LE(refBytes, payload + REF_BYTES)
    into.set(key.wrapped, payload + TEXTS + scopeBytes + refBytes)
    at = closeFrame(into, at, FRAME.key, ordinal, TEXTS + scopeBytes + refBytes + key.wrapped.length)
  }
  return at
}

/** One key, or null for one that is destroyed, with where its frame is. */
export interface KeyFrame {
  readonly at: number
  readonly ordinal: number
  readonly payload: number
  readonly end: number
  readonly key: EntryKey | null
}

/** All frames in these bytes that are whole, also behind broken ones. */
export function allKeys(bytes: Buffer): KeyFrame[] {
  const keys: KeyFrame[] = []
  for (let at = 0; at + FRAME_HEAD <= bytes.length;) {
    const frame = frameAt(bytes, at, FRAME.key)
    if (typeof frame === 'string') {
      at += 8
      continue
    }
    keys.push({ ...frame, key: readKey(bytes, frame.payload, frame.end) })
    at += frameBytes(frame.end - frame.payload)
  }
  return keys
}

/** These bytes are whole frames and nothing else. */
export function areKeys(bytes: Buffer): boolean {
  let at = 0
  while (at < bytes.length) {
    const frame = frameAt(bytes, at, FRAME.key)
    if (typeof frame === 'string') return false
    at += frameBytes(frame.end - frame.payload)
  }
  return true
}

function readKey(bytes: Buffer, payload: number, end: number): EntryKey | null {
  const scopeBytes = bytes.readUInt16LE(payload + SCOPE_BYTES)
  // No scope is empty.
  if (scopeBytes === 0) return null
  const ref = payload + TEXTS + scopeBytes
  const wrapped = ref + bytes.readUInt16LE(payload + REF_BYTES)
  return {
    entry: readId(bytes, payload),
    scope: bytes.toString('utf8', payload + TEXTS, ref),
    ref: bytes.toString('utf8', ref, wrapped),
    wrapped: new Uint8Array(bytes.subarray(wrapped, end)),
  }
}

/** Nothing of the key is left in the bytes. */
export function wipeKey(bytes: Buffer, { at, ordinal, payload, end }: KeyFrame): void {
  bytes.fill(0, payload, end)
  closeFrame(bytes, at, FRAME.key, ordinal, end - payload)
}

/** Nothing is left of what is no whole frame. True: something was. */
export function wipeBetween(bytes: Buffer, frames: readonly KeyFrame[]): boolean {
  let from = 0
  let wasThere = false
  for (const { at, end } of [...frames, { at: bytes.length, end: bytes.length }]) {
    const between = bytes.subarray(from, at)
    wasThere ||= between.some((byte) => byte !== 0)
    between.fill(0)
    from = end
  }
  return wasThere
}
