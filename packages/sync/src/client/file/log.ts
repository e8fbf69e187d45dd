import { readAll, writeAll, type File, type Files } from '@keelson/kernel/files'
import { storeFailure } from './failure.ts'
import { recordOf } from './record.ts'

/** One write and sync takes about so much: who comes next waits for all of it. */
const BATCH_CHARS = 1 << 20
const COPY_BYTES = 1 << 18

/** Lines that are durable together with what is asked meanwhile, in one record, as soon as the disk has synced. */
export interface Log {
  /** Where what is durable ends. */
  readonly end: number
  /** Why it takes nothing any more. */
  readonly failure: Error | undefined
  /** Resolves when they and all that was asked before are durable. None may be given. */
  append(lines: string): Promise<void>
  /** Copies what the log has from there on, as far as it is durable. Answers how many bytes that were. */
  copy(from: number, into: File, at: number): Promise<number>
  /**
   * Puts another file in the place of this one, behind all that was asked before. `at` is where it goes on with what
   * this one has behind `from`.
   */
  replaceBy(fresh: File, freshPath: string, at: number, from: number): Promise<void>
  /** When all that was asked is done. */
  close(): Promise<void>
}

/** Of a file that has something up to `end`. */
export interface LogParts {
  readonly files: Files
  readonly folder: string
  readonly path: string
  readonly file: File
  readonly end: number
}

interface Asked {
  readonly lines: string
  readonly done: PromiseWithResolvers<void>
}

interface Job {
  readonly run: () => Promise<void>
  readonly done: PromiseWithResolvers<void>
}

export function createLog(o: LogParts): Log {
  const { files, folder, path } = o
  let { file, end } = o
  let failure: Error | undefined
  const queue: (Asked | Job)[] = []
  let running: Promise<void> | undefined

  /** Group commit without a timer: what comes while the disk syncs is the next batch. */
  function ask(one: Asked | Job): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure)
    queue.push(one)
    running ??= run()
    return one.done.promise
  }

  async function run(): Promise<void> {
    while (queue.length > 0) {
      // Whoever was told together asks again together.
      await new Promise<void>((resolve) => {
        process.nextTick(resolve)
      })
      const batch = takeBatch()
      const job = batch.length === 0 ? (queue.shift() as Job) : undefined
      try {
        await (job === undefined ? write(batch) : job.run())
        for (const { done } of job === undefined ? batch : [job]) done.resolve()
      } catch (error) {
        const rest = failure === undefined ? [] : queue.splice(0)
        for (const { done } of [...(job === undefined ? batch : [job]), ...rest]) done.reject(failure ?? error)
      }
    }
    running = undefined
  }

  /** None when a job is next. */
  function takeBatch(): Asked[] {
    const batch: Asked[] = []
    let chars = 0
    for (const one of queue) {
      if ('run' in one || (chars > 0 && chars + one.lines.length > BATCH_CHARS)) break
      chars += one.lines.length
      batch.push(one)
    }
    queue.splice(0, batch.length)
    return batch
  }

  async function write(batch: readonly Asked[]): Promise<void> {
    const lines = batch.map((one) => one.lines).join('')
    if (lines === '') return
    const record = recordOf(lines)
    try {
      await writeAll(file, record, end)
      await file.datasync()
    } catch (cause) {
      fail(cause)
      // As far as the disk still does what it is told: who was refused does not find it there later.
      await file.truncate(end).catch(() => {})
      throw cause
    }
    end += record.length
  }

  /** What the disk has is not known any more, and a later sync may say that all is well. */
  function fail(cause: unknown): void {
    failure = storeFailure(`the store in ${folder} has failed and has to be opened again: ${String(cause)}`, cause)
  }

  async function copy(from: number, into: File, at: number): Promise<number> {
    const bytes = end - from
    for (let done = 0; done < bytes; done += COPY_BYTES)
      await writeAll(into, await readAll(file, from + done, Math.min(COPY_BYTES, bytes - done)), at + done)
    return bytes
  }

  return {
    get end() {
      return end
    },
    get failure() {
      return failure
    },
    async append(lines) {
      if (lines !== '' || running !== undefined) await ask({ lines, done: Promise.withResolvers() })
    },
    copy,
    replaceBy: (fresh, freshPath, at, from) =>
      ask({
        done: Promise.withResolvers(),
        async run() {
          const bytes = await copy(from, fresh, at)
          await fresh.datasync()
          try {
            await files.rename(freshPath, path)
            await files.syncFolder(folder)
          } catch (cause) {
            // Which of both is there is not known.
            fail(cause)
            throw cause
          }
          const old = file
          file = fresh
          end = at + bytes
          await old.close().catch(() => {})
        },
      }),
    async close() {
      await running
      await file.close()
    },
  }
}
