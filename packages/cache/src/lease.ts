/** What a lease of the memory store says. */
export interface MemoryLease {
  readonly epoch: string
  /** The scope's generation before the load. */
  readonly stamp: number
  /** When the lease was given. */
  readonly atMs: number
  /** Two leases of one moment are two. */
  readonly id: number
}

/** As text, which only its store reads. */
export function leaseText({ epoch, stamp, atMs, id }: MemoryLease): string {
  return `${epoch} ${stamp} ${atMs} ${id}`
}

/** Undefined of what is no lease of this store. */
export function leaseOf(text: string): MemoryLease | undefined {
  const [epoch, stamp, atMs, id, ...more] = text.split(' ')
  if (epoch === undefined || id === undefined || more.length > 0) return undefined
  return { epoch, stamp: Number(stamp), atMs: Number(atMs), id: Number(id) }
}
