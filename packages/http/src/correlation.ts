import { uuidv7, type Clock } from '@keelson/kernel'

/** The caller's id, when exactly one line came and `accept` matches all of it; else a new UUIDv7. */
export function correlationIdOf(lines: readonly string[], accept: RegExp, clock: Clock): string {
  const [given, second] = lines
  if (given !== undefined && second === undefined && accept.exec(given)?.[0] === given) return given
  return uuidv7(clock)
}

/** True for a pattern that says where a value begins and ends, and that remembers nothing between two values. */
export function isAnchored(pattern: unknown): pattern is RegExp {
  if (!(pattern instanceof RegExp) || /[gym]/.test(pattern.flags)) return false
  return pattern.source.startsWith('^') && /(?<!\\)(?:\\\\)*\$$/.test(pattern.source)
}
