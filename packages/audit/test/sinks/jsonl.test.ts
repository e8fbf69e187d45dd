import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
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
