import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSyncClient, memoryStore, type ClientStore } from '@keelson/sync/client'
import { fileStore } from '@keelson/sync/client/file'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { PENDING, RECORDS } from './sizes.ts'
import { idOf, titleOf, type Task } from './tasks.ts'

const MEMORY = 'in memory'
const FILE = 'in a file, synced to the disk'
const BARE = 'bare write and fdatasync of 400 bytes'
const LIMIT_MS = 5
/** What comes while the disk syncs shares the next sync. */
const AT_ONCE = 1_000

/** One edit after the other, when much waits for a network. */
export function outbox(): Case[] {
  const contender = (name: string, pending: number): Contender => ({
    name: `${name}, ${pending} pending`,
    async open() {
      const dir = await mkdtemp(join(tmpdir(), 'keelson-bench-sync-'))
      const store: ClientStore = name === MEMORY ? memoryStore() : fileStore(join(dir, 'device'))
      const client = createSyncClient({ url: 'http://127.0.0.1:9/sync', store, collections: { task: {} } })
      const tasks = client.collection<Task>('task')
      let edits = 0
      const edit = (): Promise<unknown> => {
        const n = edits++ % RECORDS
        return tasks.patch(idOf(n), { title: titleOf(edits, n) })
      }
      while (edits < pending) await Promise.all(Array.from({ length: AT_ONCE }, edit))
      return {
        run: (forMs) => closedLoop(1, forMs, edit),
        async close() {
          await client.close()
          await rm(dir, { recursive: true })
        },
      }
    },
  })
  return [
    {
      name: 'an edit is kept',
      note: 'until patch() has resolved: one caller',
      contenders: [...[MEMORY, FILE].flatMap((name) => [contender(name, PENDING), contender(name, 0)]), bare],
      targets: [MEMORY, FILE].map((name) => {
        return { of: `${name}, ${PENDING} pending`, figure: 'p99 ms', atMost: LIMIT_MS }
      }),
    },
  ]
}

/** As long as a line of the file's log. */
const bare: Contender = {
  name: BARE,
  async open() {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-bench-sync-'))
    const file = await open(join(dir, 'log'), 'a')
    const line = `${'x'.repeat(399)}\n`
    const write = async (): Promise<void> => {
      await file.write(line)
      await file.datasync()
    }
    return {
      run: (forMs) => closedLoop(1, forMs, write),
      async close() {
        await file.close()
        await rm(dir, { recursive: true })
      },
    }
  },
}
