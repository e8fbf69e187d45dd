import type { Lease } from '../store.ts'

/** As SQL: the right to fill, `<epoch>|<snapshot of the statement>|<the server's time in us>`. */
export const leaseOf = (epoch: string): string =>
  `${epoch} || '|' || pg_current_snapshot() || '|' || (extract(epoch from statement_timestamp()) * 1000000)::bigint`

/** The parts of a lease, in SQL. */
export const leaseEpoch = (lease: string): string => `split_part(${lease}, '|', 1)`
export const leaseSnapshot = (lease: string): string => `split_part(${lease}, '|', 2)::pg_snapshot`
export const leaseTime = (lease: string): string =>
  `(timestamptz 'epoch' + split_part(${lease}, '|', 3)::bigint * interval '1 microsecond')`

/** The stamp of what is filled under a lease: the first transaction that had not begun. */
export function stampOf(lease: Lease): string {
  return lease.split('|')[1]!.split(':')[1]!
}
