import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { fileStore } from '../../src/file/index.ts'
import { fold, frontierOf } from './fake-tree.ts'
import { LOG, rowOf } from './killed.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 1_000 : 10

type Told = { readonly acked: readonly string[] } | { readonly size: number }

test(
  `what was acknowledged before a process was killed is there, ${KILLS} times`,
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const acked = new Set<string>()
    let sealed = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = await startWorker<never, Told>(new URL('./killed-worker.ts', import.meta.url), { DIR: dir })
      const enough = Promise.withResolvers<void>()
      // All sixteen are at it, at another place each time.
      const after = acked.size + 40 + ((kill * 37) % 160)
      worker.onMessage((told) => {
        if ('acked' in told) for (const id of told.acked) acked.add(id)
        else sealed = told.size
        if (acked.size >= after) enough.resolve()
      })
      await Promise.race([enough.promise, worker.ended.then((how) => expect(how).toBe('SIGKILL'))])
      await worker.kill()
    }

    await using store = { ...fileStore({ dir, appendTimeout: '60s' }), [Symbol.asyncDispose]: () => store.close() }
    expect((await store.head(LOG)).size).toBeGreaterThanOrEqual(sealed)
    const { size, frontier } = await store.head(LOG)
    while ((await store.seal(LOG, 1_000, fold)) !== 0) {}
    const rows = await store.read(LOG, 0, { entries: 1e6, bytes: 1e12 })
    const ids = new Set(rows.map(({ leaf }) => leaf.id))
    expect(ids.size).toBe(rows.length)
    expect([...acked].filter((id) => !ids.has(id))).toEqual([])

    const withKeys: string[] = []
    let chain: Uint8Array = new Uint8Array()
    for (const [index, { leaf, bytes }] of rows.entries()) {
      const { hasKey } = JSON.parse(Buffer.from(bytes!).toString()) as { hasKey: boolean }
      if (Buffer.compare(bytes!, rowOf(leaf.id, hasKey).bytes) !== 0) expect.fail(`${leaf.id} is torn`)
      if (hasKey) withKeys.push(leaf.id)
      if (index < size) chain = frontierOf(chain, { bytes: bytes! })
    }
    expect(Buffer.compare(chain, frontier)).toBe(0)
    const keys = await store.keys(LOG, withKeys)
    expect(keys.map(({ entry }) => entry)).toEqual(withKeys)
    expect(rows.length).toBeGreaterThan(KILLS * 40)
  },
  LONG ? 6 * 3_600_000 : undefined,
)
