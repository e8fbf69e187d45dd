import { nextStamp, shiftStamp, type Stamp } from '../stamp.ts'

/** What a device knows beside records and operations. */
export interface Meta {
  /** As the server knows it. */
  readonly client: string
  /** In its stamps. */
  readonly node: string
  /** Of all that shares its store; never another. */
  readonly place: string
  /** The number of the last operation. */
  readonly n: number
  /** Of the last snapshot, also of one that is still being taken. */
  readonly g: number
  readonly cursor: string | null
  /** Of pushes that had an answer. */
  readonly pushes: number
  /** The last page was not the last one of its pull. */
  readonly more: boolean
  /** By so much the server's clock is ahead of the device's. */
  readonly offsetMs: number
  /** Whether a collection has strict fields, as far as a record of it has told. */
  readonly strict: Readonly<Record<string, boolean>>
  /** The highest stamp of all that it made and saw: what comes later is above. */
  readonly last?: Stamp
  /** Of those, the highest of the server's: it does not move with the device's clock. */
  readonly seen?: Stamp
  /** When it last had all there was, by the server's clock. */
  readonly syncedMs: number | null
}

export const freshMeta = (): Meta => ({
  ...newName(),
  place: randomText(16),
  n: 0,
  g: 0,
  cursor: null,
  pushes: 0,
  more: false,
  offsetMs: 0,
  syncedMs: null,
  strict: {},
})

/** Who takes a new name must not be taken for who had the old one. */
export const newName = (): Pick<Meta, 'client' | 'node'> => ({ client: crypto.randomUUID(), node: randomText(12) })

/** Letters and digits at random. */
export function randomText(length: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => (byte % 36).toString(36)).join('')
}

/** The next stamp, when the device's clock says `ownMs`. */
export function stampOfNow({ last, offsetMs, node }: Meta, ownMs: number): Stamp {
  return nextStamp(last, ownMs + offsetMs, node)
}

/** What comes later comes after these. */
export function seeing(meta: Meta, stamps: Iterable<Stamp>): Meta {
  let { last, seen } = meta
  for (const stamp of stamps) {
    if (seen === undefined || stamp > seen) seen = stamp
    if (last === undefined || stamp > last) last = stamp
  }
  return { ...meta, ...(last === undefined ? {} : { last }), ...(seen === undefined ? {} : { seen }) }
}

/** The server's clock is ahead by so much more; all stamps that it has not taken move by it, if they were `wrong`. */
export function moving(meta: Meta, byMs: number, areWrong: boolean): Meta {
  const { last, seen, offsetMs } = meta
  const moved = last !== undefined && areWrong ? shiftStamp(last, byMs) : last
  const highest = seen !== undefined && (moved === undefined || seen > moved) ? seen : moved
  return { ...meta, offsetMs: offsetMs + byMs, ...(highest === undefined ? {} : { last: highest }) }
}
