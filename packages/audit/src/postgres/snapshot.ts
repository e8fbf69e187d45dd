/*
 * In which order entries are sealed: as they became visible. What is sealed of a log is a snapshot of Postgres, `done`:
 * of what it sees, everything is sealed. What became visible since then is what was on its way then, and what began
 * later: both are looked up by transaction, nothing is scanned. So a writer that stays open holds nobody up, and what it
 * wrote is sealed when it commits. An order by transaction alone would have to wait for it, or to pass it by for ever.
 */

/** Up to where a log is sealed. */
export interface Sealed {
  /** A pg_snapshot as text: 'xmin:xmax:xid,xid', the xids being on their way. */
  readonly done: string
  /** Of one of these, entries up to this place are sealed already. The others of it are the next, so there is only one. */
  readonly xid: string
  readonly seq: string
}

/** An entry's place: the number of its transaction, and its own. */
export type Place = Pick<Sealed, 'xid' | 'seq'>

export const NO_PLACE: Place = { xid: '0', seq: '0' }

/** When of what `now` sees everything is sealed up to and with `last`: the rest of a transaction, then others in order. */
export function sealedUpTo(sealed: Sealed, now: string, last: Place): Sealed {
  if (last.xid === sealed.xid) return { done: sealed.done, ...last }
  const before = parse(sealed.done)
  const after = parse(now)
  const xid = BigInt(last.xid)
  // What was on its way stands before what began later.
  if (xid < before.xmax) {
    const rest = BigInt(sealed.xid)
    const left = before.open.filter((open) => open !== rest && (open >= xid || after.open.includes(open)))
    return { done: format(before.xmax, left), ...last }
  }
  const open = after.open.filter((open) => open < xid)
  return { done: format(xid + 1n, [...open, xid]), ...last }
}

function parse(snapshot: string): { xmax: bigint; open: bigint[] } {
  const [, xmax, open] = snapshot.split(':')
  return { xmax: BigInt(xmax!), open: open === '' ? [] : open!.split(',').map(BigInt) }
}

function format(xmax: bigint, open: readonly bigint[]): string {
  return `${open[0] ?? xmax}:${xmax}:${open.join(',')}`
}
