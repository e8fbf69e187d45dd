import { crc32 } from 'node:zlib'
import { readFile, replaceFile, type Files } from '@keelson/kernel/files'
import { AuditError } from '../error.ts'

/** A small value that is replaced as a whole. What asks for a change while one is being written goes with the next. */
export interface StateFile<T> {
  /** As it is on disk. */
  readonly value: T
  /** Resolves when what `change` makes of the value is durable. It is pure, and called once. */
  update(change: (value: T) => T): Promise<void>
  /**
   * A change that failed may stand on disk all the same, or come to stand there when something else syncs the folder:
   * resolves when `value` does.
   */
  settled(): Promise<void>
}

interface Waiting<T> {
  readonly change: (value: T) => T
  readonly done: PromiseWithResolvers<void>
}

/** @throws AuditError STORE_CORRUPT for one that was altered */
export async function openStateFile<T>(files: Files, folder: string, name: string, initial: T): Promise<StateFile<T>> {
  const text = await readFile(files, `${folder}/${name}`)
  let value = text === undefined ? initial : parse<T>(text, `${folder}/${name}`)
  let waiting: Waiting<T>[] = []
  let running = false
  let isSettled = true

  async function run(): Promise<void> {
    running = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        const next = batch.reduce((next, { change }) => change(next), value)
        if (next !== value || !isSettled) await replaceFile(files, folder, name, format(next))
        value = next
        isSettled = true
        for (const { done } of batch) done.resolve()
      } catch (error) {
        isSettled = false
        for (const { done } of batch) done.reject(error)
      }
    }
    running = false
  }

  function update(change: (value: T) => T): Promise<void> {
    const done = Promise.withResolvers<void>()
    waiting.push({ change, done })
    if (!running) void run()
    return done.promise
  }

  return {
    get value() {
      return value
    },
    update,
    async settled() {
      if (!isSettled) await update((same) => same)
    },
  }
}

/** Format 1: a checksum over the JSON text behind it. */
function format(value: unknown): Buffer {
  const text = JSON.stringify(value)
  return Buffer.from(`1 ${crc32(text)} ${text}`)
}

function parse<T>(bytes: Buffer, path: string): T {
  const [, sum, text] = /^1 (\d+) ([^]*)$/.exec(bytes.toString()) ?? []
  if (text === undefined || crc32(text) !== Number(sum))
    throw new AuditError('STORE_CORRUPT', `${path} was altered, or is of a later version`)
  return JSON.parse(text) as T
}
