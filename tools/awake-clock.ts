/** A clock for promises about time: what a busy machine takes from this process does not count. */

/** How often it looks. */
const TICK_MS = 5
/** What lies between two looks counts as this much at most: the rest this process was kept from running. */
const MOST_MS = 25

let countedMs = 0
let lookedMs = performance.now()

setInterval(look, TICK_MS).unref()

/** Milliseconds in which this process could run, since it began to count. Only differences say something. */
export function awakeMs(): number {
  look()
  return countedMs
}

function look(): void {
  const nowMs = performance.now()
  countedMs += Math.min(nowMs - lookedMs, MOST_MS)
  lookedMs = nowMs
}
