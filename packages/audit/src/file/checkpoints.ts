import type { Files } from '@keelson/kernel/files'
import type { Checkpoint } from '../store.ts'
import { FRAME } from './frame.ts'
import { openRecordFile } from './record-file.ts'

const READ_AT_ONCE = 64

/** The checkpoints of one log, growing by size; of one size the newest counts. */
export interface Checkpoints {
  readonly bytes: number
  publish(checkpoint: Checkpoint): Promise<void>
  from(size: number, limit: number): Promise<Checkpoint[]>
  readonly last: Checkpoint | undefined
  close(): Promise<void>
}

export async function openCheckpoints(files: Files, folder: string): Promise<Checkpoints> {
  let last: Checkpoint | undefined
  const records = await openRecordFile(files, folder, 'checkpoints', FRAME.checkpoint, Infinity, (_, payload) => {
    last = read(payload)
  })
  let publishing: Promise<unknown> = Promise.resolve()

  async function at(ordinal: number): Promise<Checkpoint | undefined> {
    const [record] = await records.read(ordinal, ordinal + 1)
    return record == null ? undefined : read(record)
  }
  /** The first record of at least this size, by halves; broken ones are taken for smaller. */
  async function firstFrom(size: number): Promise<number> {
    let low = 0
    let high = records.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (((await at(middle))?.size ?? -1) < size) low = middle + 1
      else high = middle
    }
    return low
  }
  async function append(checkpoint: Checkpoint): Promise<void> {
    const { size, note } = checkpoint
    if (last !== undefined && (size < last.size || (size === last.size && note === last.note))) return
    const count = await records.append([Buffer.from(`${size} ${note}`)])
    count()
    last = { size, note }
  }

  return {
    get bytes() {
      return records.bytes
    },
    get last() {
      return last
    },
    publish(checkpoint) {
      const published = publishing.then(() => append(checkpoint))
      publishing = published.catch(() => {})
      return published
    },
    async from(size, limit) {
      const found: Checkpoint[] = []
      for (let ordinal = await firstFrom(size); ordinal < records.count; ordinal += READ_AT_ONCE) {
        for (const record of await records.read(ordinal, ordinal + READ_AT_ONCE)) {
          if (record === null) continue
          const checkpoint = read(record)
          if (found.at(-1)?.size === checkpoint.size) found.pop()
          found.push(checkpoint)
          // One more, in case that it replaces the last.
          if (found.length > limit) return found.slice(0, limit)
        }
      }
      return found
    },
    close: () => records.close(),
  }
}

function read(record: Buffer): Checkpoint {
  const text = record.toString()
  const space = text.indexOf(' ')
  return { size: Number(text.slice(0, space)), note: text.slice(space + 1) }
}
