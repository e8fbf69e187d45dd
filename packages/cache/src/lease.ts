/** The right of one load, of the memory store. */
export interface MemoryLease {
  readonly epoch: string
  /** The scope's generation before the load. */
  readonly stamp: number
  /** When it was given. */
  readonly atMs: number
}

/** As text, which only its store reads. */
export function leaseText({ epoch, stamp, atMs }: MemoryLease): string {
  return `${epoch} ${stamp} ${atMs}`
}

/** What `leaseText` made a text of. */
export function leaseOf(text: string): MemoryLease {
  const [epoch = '', stamp, atMs] = text.split(' ')
  return { epoch, stamp: Number(stamp), atMs: Number(atMs) }
}
