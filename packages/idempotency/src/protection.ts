import { isKeelsonError, KernelError } from '@keelson/kernel'
import type { RefDigest } from './ref.ts'

/** Where bytes belong. Bound to it, those of one record open in no other. */
export interface Place {
  readonly scope: string
  readonly ref: RefDigest
}

/** Seals what a store keeps of answers and checkpoints, with keys of the application's. */
export interface Protection {
  /** Under the newest key. In `transaction()` before the commit: what it rejects with undoes the work. */
  seal(bytes: Uint8Array, place: Place): Promise<Uint8Array>
  /** Under the key that sealed it. Rejects when it has none, or when the bytes are not what was sealed. */
  open(sealed: Uint8Array, place: Place): Promise<Uint8Array>
}

/** As a store may have it. */
export async function seal(
  protect: Protection | undefined,
  bytes: Uint8Array,
  { scope, ref }: Place,
): Promise<Uint8Array> {
  if (protect === undefined) return bytes
  return bytesOf('seal', await protect.seal(bytes, { scope, ref }))
}

/**
 * What a store had. What cannot be opened is not run again: its first run is a fact. Rejects with KernelError
 * ANSWER_CORRUPT; a KeelsonError of the application's, such as for keys that are away, stays as it is.
 */
export async function open(
  protect: Protection | undefined,
  sealed: Uint8Array,
  { scope, ref }: Place,
): Promise<Uint8Array> {
  if (protect === undefined) return sealed
  try {
    return bytesOf('open', await protect.open(sealed, { scope, ref }))
  } catch (cause) {
    if (isKeelsonError(cause)) throw cause
    // Without the cause's words: they may tell of what was sealed.
    throw new KernelError('ANSWER_CORRUPT', 'what was stored cannot be opened: another key, or changed bytes', {
      cause,
    })
  }
}

function bytesOf(name: string, given: unknown): Uint8Array {
  if (given instanceof Uint8Array) return given
  throw new TypeError(`protect.${name}() must answer a Uint8Array`)
}
