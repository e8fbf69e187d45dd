import { SyncError } from '../error.ts'

/*
 * A snapshot as it travels: the era, and what Postgres prints of a pg_snapshot, 'xmin:xmax:xid,xid'. It sees what began
 * below xmax, without the xids, which were on their way. Transactions that stay open are told one by one, so nobody waits
 * for them; each is looked up, so a floor keeps 64 of them, and everything from the first one that is left out counts as
 * not seen: told again, never missed.
 */

/** Of one history of a store. */
export interface Snapshot {
  readonly era: string
  readonly xmax: bigint
  /** On their way below xmax, growing. */
  readonly open: readonly bigint[]
}

const SNAPSHOT = /^(\d{1,15}):(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18})*)?)$/
/** Of a floor. */
export const MAX_OPEN = 64
/** Of the target of a pull that goes on: what its next page must not see twice. As many as a large server's connections. */
export const MAX_OPEN_BETWEEN_PAGES = 1_000

/** @throws SyncError CURSOR_INVALID for what no server prints */
export function readSnapshot(text: string): Snapshot {
  const [, era, xmin, xmax, list] = SNAPSHOT.exec(text) ?? []
  if (era === undefined) throw invalid()
  const open = list === '' ? [] : list!.split(',').map(BigInt)
  const snapshot = { era, xmax: BigInt(xmax!), open }
  const isOrdered = open.every((xid, i) => xid > (open[i - 1] ?? 0n) && xid < snapshot.xmax)
  if (open.length > MAX_OPEN_BETWEEN_PAGES || !isOrdered || firstOpen(snapshot) !== BigInt(xmin!)) throw invalid()
  if (snapshot.xmax === 0n) throw invalid()
  return snapshot
}

/** As the server reads it. */
export const sqlOf = (snapshot: Snapshot): string =>
  `${firstOpen(snapshot)}:${snapshot.xmax}:${snapshot.open.join(',')}`

export const formatSnapshot = (snapshot: Snapshot): string => `${snapshot.era}:${sqlOf(snapshot)}`

/** Sees what the other one sees, without what would not fit. */
export function capped({ era, xmax, open }: Snapshot, max: number): Snapshot {
  const first = open[max]
  return first === undefined ? { era, xmax, open } : { era, xmax: first, open: open.slice(0, max) }
}

/** What the server prints: of transactions below the first open one it may tell an older xmin. */
export function fromServer(era: string, printed: string): Snapshot {
  const [, xmax, list] = printed.split(':')
  return { era, xmax: BigInt(xmax!), open: list === '' ? [] : list!.split(',').map(BigInt) }
}

const firstOpen = ({ xmax, open }: Pick<Snapshot, 'xmax' | 'open'>): bigint => open[0] ?? xmax

const invalid = (): SyncError => new SyncError('CURSOR_INVALID', 'the cursor names no snapshot')
