/** How much of a delay is chance. */
export type Jitter = 'full' | 'equal' | 'none'

export interface Backoff {
  readonly baseMs: number
  readonly capMs: number
  readonly jitter: Jitter
}

/**
 * The n-th delay (from 1): exponential and bounded, with jitter, and never under the floor that the upstream asks for:
 * the floor is added, so that those who were told the same time don't come back together. (Exponential backoff and
 * jitter, Brooker, 2015.)
 */
export function delayMs({ baseMs, capMs, jitter }: Backoff, n: number, floorMs: number, random: () => number): number {
  const ceilingMs = Math.min(capMs, baseMs * 2 ** (n - 1))
  if (jitter === 'none') return floorMs + ceilingMs
  const halfMs = jitter === 'equal' ? ceilingMs / 2 : 0
  return floorMs + halfMs + random() * (ceilingMs - halfMs)
}
