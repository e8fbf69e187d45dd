import type { Trace } from '../store.ts'

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
const TRACEPARENT_BYTES = 26
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const UUID_BYTES = 16
/** The record has two bytes for the length of all this. */
const MAX_ID_BYTES = 1_024

const HAS_TRACEPARENT = 1
const ID_IS_UUID = 2
const ID_IS_TEXT = 4

/** A trace as few bytes: flags, the traceparent's 26 bytes, then the correlation id, a UUID as its 16 bytes. */
export function packMeta({ correlationId, traceparent }: Trace = {}): Uint8Array {
  const traced = traceparent !== undefined && TRACEPARENT.test(traceparent)
  const id = correlationId ?? ''
  const isUuid = UUID.test(id)
  const isText = !isUuid && id !== '' && Buffer.byteLength(id) <= MAX_ID_BYTES
  if (!traced && !isUuid && !isText) return new Uint8Array(0)
  return Buffer.concat([
    Buffer.of((traced ? HAS_TRACEPARENT : 0) | (isUuid ? ID_IS_UUID : 0) | (isText ? ID_IS_TEXT : 0)),
    traced ? hex(traceparent) : Buffer.alloc(0),
    isUuid ? hex(id) : Buffer.from(isText ? id : ''),
  ])
}

/** The trace of `packMeta`'s bytes; undefined of none. */
export function unpackMeta(meta: Buffer): Trace | undefined {
  if (meta.length === 0) return undefined
  const flags = meta[0]!
  const idAt = flags & HAS_TRACEPARENT ? 1 + TRACEPARENT_BYTES : 1
  const trace: { correlationId?: string; traceparent?: string } = {}
  if (flags & HAS_TRACEPARENT) trace.traceparent = dashed(meta.subarray(1, idAt), [1, 16, 8, 1])
  if (flags & ID_IS_UUID) trace.correlationId = dashed(meta.subarray(idAt, idAt + UUID_BYTES), [4, 2, 2, 2, 6])
  if (flags & ID_IS_TEXT) trace.correlationId = meta.subarray(idAt).toString()
  return trace
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex')
}

function dashed(bytes: Buffer, lengths: readonly number[]): string {
  let at = 0
  return lengths.map((length) => bytes.subarray(at, (at += length)).toString('hex')).join('-')
}
