import { hash } from 'node:crypto'
import { canonical } from './canonical.ts'
import type { Op } from './wire.ts'

/**
 * Of what an operation does; not of when, and by whom it was seen: a device that learns how wrong its clock is moves the
 * stamps of what it may have sent, and one that learns what became of an edit changes what the next one has read.
 */
export function fingerprint({ op: _op, h: _h, seen: _seen, s: _s, base: _base, ...content }: Op): string {
  return hash('sha256', canonical(content), 'base64url')
}
