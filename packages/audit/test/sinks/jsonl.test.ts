import { mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createAudit, generateKey, memoryStore, type AuditStore } from '../../src/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'

const key = generateKey('test.example/audit').signer

test.each(['', 'of somebody else\n'])(
  'what was written before the cursor moved for the first time is there once, behind what stood there: %j',
  async (before) => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-jsonl-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const path = join(dir, 'audit.jsonl')
    await writeFile(path, before)
    const store = memoryStore()
    const lines = async (): Promise<string[]> => (await readFile(path, 'utf8')).split('\n').slice(0, -1)

    const first = createAudit({ store: { ...store, ...dying(store) }, key, sinks: [jsonlSink({ path, flush: 0 })] })
    await first.record({ scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } })
    expect(await first.runOnce()).toEqual({ done: false })
    const old = before === '' ? 0 : 1
    expect(await lines()).toHaveLength(old + 1)
    await first.close()

    const second = createAudit({ store, key, sinks: [jsonlSink({ path, flush: 0 })] })
    expect(await second.runOnce()).toEqual({ done: true })
    expect(await lines()).toHaveLength(old + 1)
    expect((await lines()).slice(0, old).join('\n')).toBe(before.trim())
    await second.close()
  },
)

test('what is shipped goes into the file of that name, also when somebody took it away or emptied it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-jsonl-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const folder = join(dir, 'logs')
  const path = join(folder, 'audit.jsonl')
  await mkdir(folder)
  const audit = createAudit({ store: memoryStore(), key, sinks: [jsonlSink({ path, flush: 0 })] })
  onTestFinished(() => audit.close())
  await audit.start()
  const record = async (): Promise<string> =>
    (await audit.record({ scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } })).id
  const ship = async (): Promise<string> => {
    const id = await record()
    await audit.flush({ to: 'shipped', timeout: '60s' })
    return id
  }
  const first = await ship()
  // As logrotate does by default, and with `copytruncate`.
  await rename(path, join(dir, 'aside'))
  const second = await ship()
  expect(await idsIn(path)).toEqual([second])
  await truncate(path)
  const third = await ship()
  expect(await idsIn(path)).toEqual([third])
  // Without its folder nothing is shipped, and all when that is back.
  await rm(folder, { recursive: true })
  const waiting = await record()
  await vi.waitUntil(() => audit.sink('jsonl').status().lastError, { timeout: 60_000 })
  await mkdir(folder)
  const last = await ship()
  expect(await idsIn(path)).toEqual([waiting, last])
  expect(await idsIn(join(dir, 'aside'))).toEqual([first])
}, 200_000)

async function idsIn(path: string): Promise<string[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1)
  return lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id)
}

/** Its process dies before any cursor moves. */
function dying(store: AuditStore): Partial<AuditStore> {
  return {
    async advance(log, sink, fence, to, ...more) {
      if (to > 0) throw new Error('dead')
      return store.advance(log, sink, fence, to, ...more)
    },
    close: async () => {},
  }
}
