import { join } from 'node:path'

/** How much of an answer is kept in these tests. */
export const MAX_BYTES = 65_536

/** A handler of any style, and what becomes of its answer. */
export interface Animal<Handler> {
  readonly name: string
  readonly method?: string
  /** 'whole' unless it is said otherwise. */
  readonly kind?: 'part'
  /** Of the answer. */
  readonly status?: number
  readonly handler: Handler
}

const pool = Buffer.from(Array.from({ length: MAX_BYTES + 1 }, (_, i) => (i * 7 + (i >> 8)) & 255))

/** So many bytes, at most one more than are kept. */
export const bytes = (length: number): Buffer => pool.subarray(0, length)

/** A file of several kilobytes. */
export const file: string = join(import.meta.dirname, '../README.md')
