import { createHash } from 'node:crypto'

/** A number in [0, 1) that only depends on its arguments: what is asked first does not change what is asked next. */
export function chance(seed: number, ...what: readonly (string | number)[]): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...what]))
    .digest()
  return digest.readUInt32BE() / 2 ** 32
}
