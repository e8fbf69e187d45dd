import type { StoreChange } from '../store.ts'
import { lineOf } from './record.ts'

/** What is there, also what is on its way to the disk. */
export interface Contents {
  /** Of the lines that say all of it. */
  readonly bytes: number
  get(key: string): unknown
  /** A change whose line has so many bytes. */
  put(change: StoreChange, lineBytes: number): void
  entries(): (readonly [key: string, value: unknown])[]
  /**
   * Lines that say all of it, in portions of about `bytes`. What changes meanwhile is told as it was or as it is, so
   * whoever reads them reads the changes once more behind them.
   */
  lines(bytes: number): Iterable<string>
}

export function createContents(): Contents {
  const held = new Map<string, { readonly value: unknown; readonly bytes: number }>()
  let all = 0
  return {
    get bytes() {
      return all
    },
    get: (key) => held.get(key)?.value,
    put([key, value], bytes) {
      all -= held.get(key)?.bytes ?? 0
      if (value === undefined) {
        held.delete(key)
        return
      }
      held.set(key, { value, bytes })
      all += bytes
    },
    entries: () => Array.from(held, ([key, { value }]) => [key, value] as const),
    *lines(portion) {
      // What is new stands behind what is there: without an end to it, this would run after whoever writes.
      let left = held.size
      let lines = ''
      for (const [key, { value }] of held) {
        if (left-- === 0) break
        lines += lineOf([key, value])
        if (lines.length < portion) continue
        yield lines
        lines = ''
      }
      if (lines !== '') yield lines
    },
  }
}
