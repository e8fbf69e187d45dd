import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Files } from '@keelson/kernel/files'
import { createFileStore } from '../../src/file/file-store.ts'
import { fileStore } from '../../src/file/index.ts'
import { readOnlyFiles } from '../../src/file/read-only.ts'
import { createAudit, generateKey, type Audit, type AuditStore } from '../../src/index.ts'
import { newRow, rows } from './stage.ts'

const { signer, verifier } = generateKey('test.example/audit')
const entry = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } }
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
})

function closed<T extends { close(): Promise<void> }>(one: T): T {
  onTestFinished(() => one.close())
  return one
}

/** Somebody who only looks. */
function reader(store: AuditStore = fileStore({ dir, readOnly: true, appendTimeout: '1m' })): Audit {
  return closed(createAudit({ store, key: () => [], auditReads: 'none' }))
}

async function writer(count: number): Promise<Audit> {
  const audit = closed(createAudit({ store: fileStore({ dir, appendTimeout: '1m' }), key: signer }))
  for (let i = 0; i < count; i++) await audit.record({ ...entry, data: { i } })
  await audit.flush()
  return audit
}

/** All of a folder: names, contents and when they changed. */
async function contents(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
  const paths = names.map((one) => join(one.parentPath, one.name)).sort()
  return Promise.all(
    paths.map(async (path) => {
      const sum = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
      return `${path} ${sum} ${(await stat(path)).mtimeMs}`
    }),
  )
}

/** Files of which one, when it is opened for the nth time, has `then` happen behind. */
function interrupted(name: string, nth: number, then: () => Promise<unknown>): Files {
  let times = 0
  return {
    ...readOnlyFiles,
    async open(path, mode) {
      const file = await readOnlyFiles.open(path, mode)
      if (path.endsWith(name) && ++times === nth) await then()
      return file
    },
  }
}

function storeOn(files: Files): AuditStore {
  return createFileStore({
    files,
    dir,
    durability: 'fsync',
    segmentBytes: 1 << 16,
    maxBytes: 2 ** 30,
    timeoutMs: 60_000,
    readOnly: true,
    lock: async () => async () => {},
  })
}

test('a log is read while another process has it, and nothing in its folder changes', async () => {
  const audit = await writer(5)
  await audit.record(entry)
  const before = await contents(dir)
  const look = reader()
  expect(await look.verify({ keys: [verifier] })).toMatchObject({ ok: true, size: 5 })
  expect((await look.query({ scope: 'acme' })).entries).toHaveLength(5)
  await look.close()
  expect(await contents(dir)).toEqual(before)
  await audit.flush()
  expect((await audit.verify()).size).toBe(6)
})

test('what a crash has left is read as it will be repaired, and stays as it is', async () => {
  const audit = await writer(5)
  await audit.close()
  const [segment] = await readdir(join(dir, 'main/seg'))
  const path = join(dir, 'main/seg', segment!)
  const bytes = await readFile(path)
  // The last frame is torn.
  bytes.writeUInt8(bytes[bytes.lastIndexOf('"i":4') + 4]! ^ 1, bytes.lastIndexOf('"i":4') + 4)
  await writeFile(path, bytes)
  const before = await contents(dir)
  const verdict = await reader().verify({ keys: [verifier] })
  expect(verdict.problems).toMatchObject([{ code: 'ENTRY_MISSING', index: 4 }])
  expect(await contents(dir)).toEqual(before)
})

test('whatever writes is refused, and a log that is not there is not made', async () => {
  await writer(1)
  const store = closed(fileStore({ dir, readOnly: true, appendTimeout: '1m' }))
  const refused = { code: 'STORE_LOCKED', message: expect.stringContaining('readOnly') }
  await expect(store.append('main', [newRow()])).rejects.toMatchObject(refused)
  await expect(store.seal('main', 1, () => expect.fail())).rejects.toMatchObject(refused)
  await expect(store.claim('main', 'siem', 'me', 1_000)).rejects.toMatchObject(refused)
  await expect(store.destroyKeys('main', 'acme', 'ref')).rejects.toMatchObject(refused)
  await expect(store.deadLetters.unbury('main', {})).rejects.toMatchObject(refused)
  await expect(store.head('other')).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('other'),
  })
  expect(await readdir(dir)).not.toContain('other')
})

test.each([1, 2, 3])('a log that goes on while it is opened is none that was cut off: %i', async (nth) => {
  const audit = await writer(3)
  const files = interrupted('/head', nth, async () => {
    await audit.record(entry)
    await audit.flush()
  })
  expect(await reader(storeOn(files)).verify({ keys: [verifier] })).toMatchObject({ ok: true, problems: [] })
})

test.each([1, 2, 3])('what is dropped while a log is opened is not missing: %i', async (nth) => {
  const store = closed(fileStore({ dir, segmentBytes: 1 << 16, appendTimeout: '1m' }))
  for (let i = 0; i < 3; i++) {
    await store.append('main', rows(1, { text: 'x'.repeat(40_000), i }))
    await store.seal('main', 1, (sealed, head) => ({
      leaves: sealed.map(({ id }) => leafOf(id, head.size)),
      tiles: [{ level: 0, index: 0, offset: head.size, hashes: Buffer.alloc(32) }],
      head: { size: head.size + 1, frontier: Buffer.alloc(32 * (head.size === 1 ? 1 : head.size === 0 ? 1 : 2)) },
    }))
  }
  const files = interrupted('/head', nth, () => store.prune('main', 2))
  const look = closed(storeOn(files))
  // What is open already is read to its end.
  const pruned = nth === 3 ? 0 : 2
  expect((await look.head('main')).pruned).toBe(pruned)
  const read = await look.read('main', 0, { entries: 9, bytes: 1e9 })
  expect(read.map(({ bytes }) => bytes === null)).toEqual([pruned > 0, pruned > 1, false])
})

test('keys of a person whose erasure a crash has interrupted are not read', async () => {
  const store = fileStore({ dir, appendTimeout: '1m' })
  const row = newRow({}, ['ref'])
  await store.append('main', [row])
  await store.close()
  const text = JSON.stringify([{ scope: 'acme', ref: 'ref', below: 1 }])
  await writeFile(join(dir, 'main/erasures'), `1 ${crc32(text)} ${text}`)
  const look = closed(fileStore({ dir, readOnly: true, appendTimeout: '1m' }))
  expect(await look.keys('main', [row.id])).toEqual([])
})

function leafOf(id: string, index: number) {
  const none = { actorType: null, actorId: null, targetType: null, targetId: null, correlationId: null }
  return { ...none, index, id, atMs: index, scope: 'acme', action: 'a.b', outcome: 'success' as const, refs: [] }
}
