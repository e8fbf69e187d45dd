import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { memoryStore } from '@keelson/sync'
import { fileStore } from '@keelson/sync/client/file'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { openDevice, shown, tasks } from './open-device.ts'
import { serveSync } from './serve-sync.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 200 : 10

test(
  `a device that is killed while it edits and syncs: what was kept is sent, once, ${KILLS} times`,
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-sync-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const applied: string[] = []
    const atServer = new Set<string>()
    const server = await serveSync({
      store: memoryStore(),
      apply: async (_, wins) => void applied.push(...wins.map(({ op }) => op)),
      onResults: (results) => {
        for (const { op, status } of results) if (status !== 'retry') atServer.add(op)
      },
    })
    onTestFinished(() => server.close())
    const kept = new Set<string>()
    const other = openDevice(server.port)
    onTestFinished(() => other.close())

    let pendingAtStart = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = await startWorker<never, { kept: string }>(new URL('./client-worker.ts', import.meta.url), {
        DIR: dir,
        PORT: String(server.port),
      })
      const enough = Promise.withResolvers<void>()
      const after = kept.size + 30 + ((kill * 37) % 150)
      worker.onMessage((told) => {
        kept.add(told.kept)
        if (kept.size >= after) enough.resolve()
      })
      for (let i = 0; i < 3; i++) await tasks(other).patch(`t${(kill + i) % 12}`, { title: `other ${kill}` })
      await other.sync()
      await Promise.race([enough.promise, worker.ended.then((how) => expect(how).toBe('SIGKILL'))])
      await worker.kill()

      const store = fileStore(dir)
      const again = openDevice(server.port, { store })
      const found = new Set<string>()
      for await (const { op } of again.exportPending()) found.add(op.op)
      pendingAtStart += found.size
      for (const { op } of again.issues()) found.add(op)
      expect([...kept].filter((op) => !found.has(op) && !atServer.has(op))).toEqual([])
      await again.close()
    }

    const last = openDevice(server.port, { store: fileStore(dir) })
    onTestFinished(() => last.close())
    await last.sync()
    expect(last.pending().count).toBe(0)
    expect([...kept].filter((op) => !atServer.has(op))).toEqual([])
    expect(applied.length).toBe(new Set(applied).size)
    expect(pendingAtStart).toBeGreaterThan(0)
    const fresh = openDevice(server.port)
    onTestFinished(() => fresh.close())
    await other.sync()
    await fresh.sync()
    expect(await shown(last)).toBe(await shown(fresh))
    expect(await shown(other)).toBe(await shown(fresh))
  },
  LONG ? 3_600_000 : 900_000,
)
