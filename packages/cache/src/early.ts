/** Beyond so many times the load's duration, chance never picks anybody (e^-20). */
const EARLIEST = 20

/**
 * XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015): true for about one
 * caller shortly before an entry's end, sooner for what takes long to load. `beta` 1; more is earlier, 0 never.
 */
export function isEarly(leftMs: number, loadMs: number, beta: number, random: () => number): boolean {
  if (leftMs > loadMs * beta * EARLIEST) return false
  return -Math.log(random()) * loadMs * beta >= leftMs
}
