import type { Clock } from '@keelson/kernel'

/** How often it looks. */
const LOOK_MS = 20

/** Looks until it is so, at most for that long. */
export async function until(isSo: () => boolean | Promise<boolean>, limitMs: number, clock: Clock): Promise<void> {
  const endMs = clock.monotonic() + limitMs
  while (!(await isSo()) && clock.monotonic() < endMs) await clock.sleep(LOOK_MS)
}
