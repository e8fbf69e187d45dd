import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../../../../tools/crash/worker-process.ts'
import { fileStore } from '../../../src/client/file/index.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 200 : 10

test(
  `what had resolved before a process was killed is there, and nothing half, ${KILLS} times`,
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-sync-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    let resolved = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = await startWorker<never, { resolved: number }>(new URL('./killed-worker.ts', import.meta.url), {
        DIR: dir,
      })
      const enough = Promise.withResolvers<void>()
      // At another place each time; some of them while the log is written anew.
      const after = resolved + 100 + ((kill * 137) % 400)
      worker.onMessage((told) => {
        resolved = Math.max(resolved, told.resolved)
        if (resolved >= after) enough.resolve()
      })
      await Promise.race([enough.promise, worker.ended.then((how) => expect(how).toBe('SIGKILL'))])
      await worker.kill()

      const store = fileStore(dir)
      const found = new Map(await store.load())
      const last = found.get('last') as number
      expect(last).toBeGreaterThanOrEqual(resolved)
      const expected = new Map<string, unknown>([['last', last]])
      for (let n = Math.max(1, last - 49); n <= last; n++) {
        const value = { n, text: 'é'.repeat(1_000 + (n % 3_000)) }
        expected.set(`op/${n}`, value).set(`view/${n % 50}`, value)
      }
      expect([...found.keys()].sort()).toEqual([...expected.keys()].sort())
      for (const [key, value] of expected) expect(found.get(key), key).toEqual(value)
      await store.close()
    }
  },
  LONG ? 2 * 3_600_000 : 900_000,
)
