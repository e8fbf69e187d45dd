import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Case, Contender, Figures, Running } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'
import type { Services } from '../../src/services.ts'
import { documentOf, inputOf } from './entry.ts'
import { newDir, newJournal, openAudit } from './journals.ts'

const OURS = 'keelson, files with fsync'
const BARE = 'bare write and fdatasync'
/** Longer than any run's entries. */
const BARE_BYTES = 16 * 2 ** 30

/** What a record costs over the disk itself. */
export function recording(services: Services): Case[] {
  const ours = (callers: number): Contender => ({
    name: OURS,
    async open() {
      const journal = await newJournal('files', services)
      const audit = openAudit(journal)
      await audit.start()
      let n = 0
      return {
        run: (forMs) => withCpu(() => closedLoop(callers, forMs, () => audit.record(inputOf(n++)))),
        async close() {
          await audit.close()
          await journal.remove()
        },
      }
    },
  })
  const bare = (callers: number): Contender => ({
    name: BARE,
    async open() {
      const dir = await newDir()
      const commit = await openBare(join(dir, 'log'))
      let n = 0
      const write = (): Promise<void> => commit.append(Buffer.from(`${JSON.stringify(documentOf(n++))}\n`))
      return {
        run: (forMs) => withCpu(() => closedLoop(callers, forMs, write)),
        async close() {
          await commit.close()
          await rm(dir, { recursive: true })
        },
      }
    },
  })
  return [
    {
      name: 'record, 64 callers',
      note: 'durable by one sync for all that wait. Ours is sealed meanwhile; bare: JSON.stringify, write, fdatasync',
      base: BARE,
      runMs: 2_000,
      contenders: [ours(64), bare(64)],
      targets: [{ of: OURS, figure: 'per s', over: BARE, atLeast: 0.9 }],
    },
    {
      name: 'record, 1 caller',
      base: BARE,
      contenders: [ours(1), bare(1)],
      targets: [{ of: OURS, figure: 'p50 ms', over: BARE, atMost: 1.3 }],
    },
    {
      name: 'entry(): checked, redacted, written',
      note: 'no I/O in it',
      contenders: [{ name: 'keelson entry()', open: () => making(services) }],
      targets: [{ of: 'keelson entry()', figure: 'cpu us', atMost: 8 }],
    },
  ]
}

/** By processor time: it never waits. */
async function making(services: Services): Promise<Running> {
  const journal = await newJournal('files', services)
  const audit = openAudit(journal)
  return {
    run(forMs) {
      const beganUs = cpuTimeUs()
      let entries = 0
      for (const untilMs = performance.now() + forMs; performance.now() < untilMs;) {
        for (let i = 0; i < 100; i++) audit.entry(inputOf(entries++))
      }
      return { 'cpu us': (cpuTimeUs() - beganUs) / entries }
    },
    async close() {
      await audit.close()
      await journal.remove()
    },
  }
}

async function withCpu(run: () => Promise<Figures>): Promise<Figures> {
  const beganUs = cpuTimeUs()
  const beganMs = performance.now()
  const figures = await run()
  const calls = (figures['per s']! * (performance.now() - beganMs)) / 1_000
  return { ...figures, 'main thread us': (cpuTimeUs() - beganUs) / calls }
}

/** A group commit as one writes it by hand: what comes during a sync is the next batch. */
async function openBare(path: string): Promise<{ append(bytes: Buffer): Promise<void>; close(): Promise<void> }> {
  const file = await open(path, 'w')
  await file.truncate(BARE_BYTES)
  let waiting: { readonly bytes: Buffer; readonly resolve: () => void }[] = []
  let isRunning = false
  let at = 0
  const tick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

  async function run(): Promise<void> {
    isRunning = true
    await tick()
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      const bytes = Buffer.concat(batch.map((one) => one.bytes))
      await file.write(bytes, 0, bytes.length, at)
      await file.datasync()
      at += bytes.length
      for (const { resolve } of batch) resolve()
      await tick()
    }
    isRunning = false
  }
  return {
    append: (bytes) =>
      new Promise((resolve) => {
        waiting.push({ bytes, resolve })
        if (!isRunning) void run()
      }),
    close: () => file.close(),
  }
}
