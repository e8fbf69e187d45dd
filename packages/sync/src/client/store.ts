/** A value of JSON by its key; undefined removes it. */
export type StoreChange = readonly [key: string, value: unknown]

/**
 * Where a device keeps what it knows: values of JSON by key. Several tabs of one browser may have the same one open.
 * Values that came out of it, or were given to it, are changed by nobody.
 */
export interface ClientStore {
  /** All that is there, in any order. Asked once, before anything else. */
  load(): Promise<Iterable<readonly [key: string, value: unknown]>>
  /**
   * Reads `keys` and writes what `decide` makes of their values (undefined: not there), with nobody between.
   * What was written survives every crash once this resolves. When it rejects, or when `decide` throws, nothing is
   * written; a call that was cut off by a crash is there as a whole, or not at all.
   */
  update(keys: readonly string[], decide: (values: readonly unknown[]) => readonly StoreChange[]): Promise<void>
  /** Tells the keys of what others have written since `load` began. Left out where there are no others. */
  watch?(fn: (keys: readonly string[]) => void): () => void
  /** Behind it all calls reject. Repeatable. */
  close(): Promise<void>
}
