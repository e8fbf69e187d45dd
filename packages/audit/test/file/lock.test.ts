import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { fileStore } from '../../src/file/index.ts'
import { LOG, newRow } from './stage.ts'

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('a folder is of one store at a time, and free when that is closed', async () => {
  const dir = await folder()
  const first = fileStore({ dir, appendTimeout: '60s' })
  await first.append(LOG, [newRow()])
  const second = fileStore({ dir, appendTimeout: '60s' })
  const locked = { code: 'STORE_LOCKED', message: expect.stringContaining(`process ${process.pid}`) }
  await expect(second.append(LOG, [newRow()])).rejects.toMatchObject(locked)
  await first.close()
  await expect(first.head(LOG)).rejects.toMatchObject({ code: 'CLOSED' })
  await second.append(LOG, [newRow()])
  expect((await second.inspect(LOG)).unsealed).toBe(2)
  await second.close()
})

test('options are checked, a transaction is refused, logs are apart whatever their names', async () => {
  const dir = await folder()
  expect(() => fileStore({ dir: '' })).toThrow('"dir"')
  expect(() => fileStore({ dir, segmentBytes: 10 })).toThrow('"segmentBytes"')
  const store = fileStore({ dir, durability: 'os', appendTimeout: '70s' })
  // A busy disk is no outage: this counts, not the `storeTimeout` of who uses it.
  expect(store.timeoutMs).toBe(70_000)
  await expect(store.append(LOG, [], {} as never)).rejects.toMatchObject({ code: 'STORE_NOT_TRANSACTIONAL' })
  for (const log of ['..', 'a/b', 'a', 'main']) {
    await store.append(log, [newRow()])
    expect((await store.inspect(log)).unsealed).toBe(1)
  }
  await store.health()
  await store.close()
  const again = fileStore({ dir, appendTimeout: '60s' })
  expect((await again.inspect('..')).unsealed).toBe(1)
  await again.close()
})
