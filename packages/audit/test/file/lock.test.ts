import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { diskFiles, lockFolder, type File, type Files } from '@keelson/kernel/files'
import { createFileStore } from '../../src/file/file-store.ts'
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

test('a folder that could not be made ready, or was left with an error, is free', async () => {
  const dir = await folder()
  const parts = { dir, durability: 'fsync', segmentBytes: 1 << 20, maxBytes: 1 << 30, timeoutMs: 60_000 } as const
  const lock = (): Promise<() => Promise<void>> => lockFolder(dir, () => new Error('taken'))
  let left = Infinity
  const files: Files = {
    ...diskFiles,
    async syncFolder(path) {
      if (left-- <= 0) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
      await diskFiles.syncFolder(path)
    },
  }
  const store = createFileStore({ ...parts, files, lock })
  left = 0
  await expect(store.append(LOG, [newRow()])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  left = Infinity
  await store.append(LOG, [newRow()])
  left = 0
  await expect(store.close()).rejects.toThrow()
  const next = fileStore({ dir, appendTimeout: '60s' })
  expect((await next.inspect(LOG)).unsealed).toBe(1)
  await next.close()
})

test('a store whose folder, or that of a log, was taken away is not well until it is back', async () => {
  const dir = join(await folder(), 'audit')
  const store = fileStore({ dir, appendTimeout: '60s' })
  await store.append(LOG, [newRow()])
  for (const path of [dir, join(dir, LOG)]) {
    await store.health()
    await rename(path, `${path}.aside`)
    await expect(store.health()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await rename(`${path}.aside`, path)
  }
  await store.health()
  await store.append(LOG, [newRow()])
  await store.close()
})

test('a log that cannot be opened leaves no files open, however often it is asked for', async () => {
  const dir = await folder()
  const first = fileStore({ dir, appendTimeout: '60s' })
  await first.append(LOG, [newRow()])
  await first.hold(LOG, { id: newRow().id, scope: 'acme', reason: 'a case', atMs: 1 })
  await first.close()
  await writeFile(join(dir, LOG, 'holds'), 'altered')
  const parts = { dir, durability: 'fsync', segmentBytes: 1 << 20, maxBytes: 1 << 30, timeoutMs: 60_000 } as const
  const open = new Set<File>()
  const files: Files = {
    ...diskFiles,
    async open(path, mode) {
      const file = await diskFiles.open(path, mode)
      open.add(file)
      return { ...file, close: () => file.close().finally(() => open.delete(file)) }
    },
  }
  const store = createFileStore({ ...parts, files, lock: async () => async () => {} })
  for (let i = 0; i < 3; i++) await expect(store.head(LOG)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  expect(open.size).toBe(0)
  await store.close()
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
