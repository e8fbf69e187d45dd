import { createHash } from 'node:crypto'

/*
 * Values of a person that no file and no process has by accident. They are made where they are needed from a seed, and
 * kept nowhere: all of a run begin alike.
 */

/** What all values of a run begin with. */
export function markOf(seed: string): string {
  return createHash('sha256').update(`mark of ${seed}`).digest('hex').slice(0, 24)
}

/** A value of a person. */
export function valueOf(seed: string, n: number): string {
  return `${markOf(seed)}-${n}`
}

/** The address of a person. */
export function addressOf(seed: string): string {
  return `${markOf(seed).replaceAll(/(.{4})/g, '$1:')}0:1`
}

/** A value of nobody: it stands in the clear, so a search that does not find it is worth nothing. */
export function controlOf(seed: string): string {
  return createHash('sha256').update(`control of ${seed}`).digest('hex').slice(0, 24)
}

/** A text as it may stand somewhere: as it is, in UTF-16, in hex, in base64 wherever it begins. */
export function shapesOf(text: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(text as string)
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].map((shift) => {
    const all = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // The characters at the edges depend on what stands beside.
    return all.slice(shift === 0 ? 0 : shift + 1, -1)
  })
  const base64url = base64.map((one) => one.replaceAll('+', '-').replaceAll('/', '_'))
  return [
    bytes,
    Buffer.from(bytes.toString('latin1'), 'utf16le'),
    ...[hex, hex.toUpperCase(), ...base64, ...base64url].map((one) => Buffer.from(one)),
  ]
}

/** Hashes of a value by which it could be told again. */
export function hashesOf(value: string): Buffer[] {
  return ['md5', 'sha1', 'sha256'].map((name) => createHash(name).update(value).digest())
}

/** Whether one of these stands in it. */
export function has(bytes: Buffer, shapes: readonly Buffer[]): boolean {
  return shapes.some((shape) => bytes.includes(shape))
}
