import { opt } from '@keelson/kernel'
import { withSeal } from '../entry/seal-member.ts'
import { checkSinkOptions, type SinkOptions } from '../sinks/sink-options.ts'
import type { Sink } from '../sink.ts'
import { createLinesFile } from './lines-file.ts'

/** What `jsonlSink` takes. */
export interface JsonlSinkOptions extends SinkOptions {
  readonly path: string
  /** A file of so many bytes is put aside as `path.1`, `path.2`, …; default: never. */
  readonly rotateBytes?: number
}

const SPEC = {
  path: opt.required(opt.custom<string>('a path', (given) => typeof given === 'string' && given !== '')),
  rotateBytes: opt.custom<number>(
    'an integer of at least 1024',
    (given) => Number.isSafeInteger(given) && (given as number) >= 1_024,
  ),
}
const NEWLINE = Buffer.from('\n')

/**
 * A file with one JSON document a line, synced before it counts. How long it is stands with the cursor, and what is
 * beyond is cut off at the start: each entry is there exactly once, whatever is killed. The file belongs to one sink of
 * one log on one machine.
 */
export function jsonlSink(options: JsonlSinkOptions): Sink {
  const { base, own } = checkSinkOptions('jsonlSink', 'jsonl', options, SPEC)
  const file = createLinesFile(own.path, own.rotateBytes ?? Infinity)
  let turn: Promise<unknown> = Promise.resolve()
  /** The last index in the file since it was opened: a write that took longer than its `timeout` comes through all the same. */
  let last = -1

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work)
    turn = mine.catch(() => {})
    return mine
  }

  return {
    ...base,
    ordered: true,
    open: async (state) =>
      inTurn(async () => {
        last = -1
        await file.open(state)
      }),
    state: file.state,
    deliver: async ({ log, entries }) =>
      inTurn(async () => {
        const fresh = entries.filter(({ index }) => index > last)
        const lines = fresh.flatMap(({ bytes, index, leaf }) => [withSeal(bytes, { log, index, leaf }), NEWLINE])
        if (fresh.length > 0) await file.append(Buffer.concat(lines))
        last = Math.max(last, entries.at(-1)!.index)
        const known = entries.length - fresh.length
        return entries.map((_, i) => (i < known ? 'duplicate' : 'ok'))
      }),
    close: async () => inTurn(file.close),
  }
}
