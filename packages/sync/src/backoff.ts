const FIRST_MS = 250
const LAST_MS = 10_000

/** How long to wait after so many failures: doubled, less up to a half of it, so that nobody comes all at once. */
export const backoffMs = (failures: number): number =>
  Math.min(FIRST_MS * 2 ** Math.min(failures, 10), LAST_MS) * (1 - Math.random() / 2)
