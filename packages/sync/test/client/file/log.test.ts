import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskFiles, type Files } from '@keelson/kernel/files'
import { expect, onTestFinished, test } from 'vitest'
import { randomOf, simulatedDisk } from '../../../../../tools/faults/simulated-disk.ts'
import { until } from '../../../../../tools/servers/until.ts'
import { fileStore } from '../../../src/client/file/index.ts'
import { createFileStore } from '../../../src/client/file/file-store.ts'
import type { ClientStore, StoreChange } from '../../../src/client/store.ts'

const PATIENCE_MS = 60_000

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-sync-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const write = (store: ClientStore, ...changes: StoreChange[]): Promise<void> => store.update([], () => changes)

/** What another store finds. */
async function foundIn(open: () => ClientStore): Promise<Record<string, unknown>> {
  const store = open()
  try {
    return Object.fromEntries(await store.load())
  } finally {
    await store.close()
  }
}

function openOn(files: Files, spareBytes?: number, dir = '/store'): ClientStore {
  const parts = { files, dir, lock: async () => async () => {} }
  return createFileStore(spareBytes === undefined ? parts : { ...parts, spareBytes })
}

test('wherever its end was torn off, the log has the updates in front of that, and is written on', async () => {
  const dir = await folder()
  const log = join(dir, 'log')
  const store = fileStore(dir)
  const ends: number[] = [0]
  for (let n = 1; n <= 2; n++) {
    await write(store, ['n', n], [`Zürich ${n}`, { text: '\u001e😀', n }], [`Zürich ${n - 1}`, undefined])
    ends.push((await stat(log)).size)
  }
  // As a crash finds it.
  const whole = await readFile(log)
  await store.close()
  for (let bytes = whole.length; bytes >= 0; bytes--) {
    await writeFile(log, whole.subarray(0, bytes))
    const last = ends.findLastIndex((end) => end <= bytes)
    const expected = last === 0 ? {} : { n: last, [`Zürich ${last}`]: { text: '\u001e😀', n: last } }
    const again = fileStore(dir)
    expect(Object.fromEntries(await again.load())).toEqual(expected)
    await write(again, ['more', bytes])
    await again.close()
    expect(await foundIn(() => fileStore(dir))).toEqual({ ...expected, more: bytes })
  }
})

test('what was replaced or deleted is in no file once the store is closed, also when that was before a crash', async () => {
  const dir = await folder()
  const log = join(dir, 'log')
  const store = fileStore(dir)
  await write(store, ['a', 'secret'], ['b', 'secret'], ['c', 'kept'])
  await write(store, ['a', 'new'], ['b', undefined])
  const crashed = await readFile(log)
  await store.close()
  expect((await readFile(log)).includes('secret')).toBe(false)
  await writeFile(log, crashed)
  expect(await foundIn(() => fileStore(dir))).toEqual({ a: 'new', c: 'kept' })
  expect((await readFile(log)).includes('secret')).toBe(false)
})

test('a sector of the last record that never came is torn off with it, and nothing else', async () => {
  const dir = await folder()
  const log = join(dir, 'log')
  const store = fileStore(dir)
  await write(store, ['a', 1])
  const { size } = await stat(log)
  await write(store, ['b', 'x'.repeat(2_000)])
  await store.close()
  const whole = await readFile(log)
  for (const [from, to] of [
    [size, whole.length],
    [size, 512],
    [512, 1024],
    [1024, whole.length],
  ] as const) {
    await writeFile(log, Buffer.from(whole).fill(0, from, to))
    expect(await foundIn(() => fileStore(dir))).toEqual({ a: 1 })
    expect((await stat(log)).size).toBe(size)
  }
  // What a file system has given the file before anything was written.
  await appendFile(log, Buffer.alloc(4096))
  expect(await foundIn(() => fileStore(dir))).toEqual({ a: 1 })
})

test('what is broken in front of others is told with file and offset, and nothing is touched', async () => {
  const dir = await folder()
  const log = join(dir, 'log')
  const store = fileStore(dir)
  await write(store, ['a', 1])
  const { size } = await stat(log)
  await write(store, ['b', 2])
  const { size: end } = await stat(log)
  await write(store, ['c', 3])
  await store.close()
  const whole = await readFile(log)
  for (let at = size; at < end; at++) {
    const broken = Buffer.from(whole)
    broken[at]! ^= 0x04
    await writeFile(log, broken)
    const again = fileStore(dir)
    const told = new RegExp(`${log} is broken at byte ${size}\\b`)
    await expect(again.load()).rejects.toThrow(told)
    await expect(write(again, ['d', 4])).rejects.toThrow(told)
    await again.close()
    expect((await readFile(log)).equals(broken)).toBe(true)
  }
  await writeFile(log, whole)
  expect(await foundIn(() => fileStore(dir))).toEqual({ a: 1, b: 2, c: 3 })
})

test.each([
  ['there is no room for a record', 'ENOSPC', 'write'],
  ['a write fails', 'EIO', 'write'],
  ['a sync fails', 'EIO', 'datasync'],
  ['there is no room at the sync', 'ENOSPC', 'datasync'],
] as const)(
  'when %s, all is refused until it is opened again; then the resolved ones are there',
  async (_, code, at) => {
    const disk = simulatedDisk(randomOf(7))
    const store = openOn(disk)
    await write(store, ['a', 1])
    let calls = 0
    // A part of it may have been written.
    disk.fault = (call) => (call === at ? code : call === 'write' && calls++ === 0 ? 'short' : 'ok')
    const refused = await Promise.allSettled([write(store, ['b', 'x'.repeat(900)]), write(store, ['c', 3])])
    disk.fault = () => 'ok'
    refused.push(...(await Promise.allSettled([write(store, ['d', 4]), store.load() as Promise<never>])))
    for (const one of refused) {
      expect(one).toMatchObject({ status: 'rejected', reason: { cause: { code } } })
      expect(String((one as PromiseRejectedResult).reason)).toContain('/store has failed and has to be opened again')
    }
    await store.close()
    const again = openOn(disk)
    expect(Object.fromEntries(await again.load())).toEqual({ a: 1 })
    await write(again, ['e', 5])
    await again.close()
    expect(await foundIn(() => openOn(disk.afterCrash()))).toEqual({ a: 1, e: 5 })
  },
)

test('what cannot be written as JSON is refused, and nothing of the call is written', async () => {
  const dir = await folder()
  const store = fileStore(dir)
  await write(store, ['a', 1])
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  for (const value of [cycle, 1n, () => 1, Symbol('s')]) {
    await expect(write(store, ['a', 2], ['b', value])).rejects.toThrow(TypeError)
  }
  await store.update(['a', 'b'], (values) => {
    expect(values).toEqual([1, undefined])
    return []
  })
  await store.close()
  expect(await foundIn(() => fileStore(dir))).toEqual({ a: 1 })
})

test('who reads what is on its way to the disk hears of it when it is there', async () => {
  const disk = simulatedDisk(randomOf(3))
  const store = openOn(disk)
  await store.load()
  const order: string[] = []
  const writing = write(store, ['a', 1]).then(() => order.push('written'))
  const reading = store
    .update(['a'], (values) => {
      expect(values).toEqual([1])
      return []
    })
    .then(() => order.push('read'))
  await Promise.all([writing, reading])
  expect(order).toEqual(['written', 'read'])
  await store.close()
})

test('updates that come together are one write and one sync', async () => {
  const disk = simulatedDisk(randomOf(5))
  const store = openOn(disk)
  await store.load()
  const calls: string[] = []
  disk.fault = (call) => {
    calls.push(call)
    return 'ok'
  }
  await Promise.all(Array.from({ length: 50 }, (_, i) => write(store, [`k${i}`, i])))
  expect(calls).toEqual(['write', 'datasync'])
  await store.close()
})

test('a log that is much longer than what is there is written anew, while it is written on', async () => {
  const dir = await folder()
  const store = openOn(diskFiles, 50_000, dir)
  const value = (n: number): object => ({ n, text: 'x'.repeat(200) })
  let longest = 0
  for (let n = 0; n < 300; n++) {
    await Promise.all(Array.from({ length: 10 }, (_, i) => write(store, [`k${i}`, value(n)], [`k${i - 1}`, value(n)])))
    longest = Math.max(longest, (await stat(join(dir, 'log'))).size)
  }
  // All of it would be over a million.
  expect(longest).toBeLessThan(300_000)
  await store.close()
  expect((await readdir(dir)).filter((name) => name.startsWith('log'))).toEqual(['log'])
  const found = await foundIn(() => fileStore(dir))
  expect(found).toEqual(Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`k${i - 1}`, value(299)])))
})

test('without room to write it anew the log goes on as it is, until there is some', async () => {
  const disk = simulatedDisk(randomOf(11))
  const store = openOn(disk, 2_000)
  const tries = new Set<number>()
  let updates = 0
  disk.fault = (call, path) => {
    if (!path.endsWith('.new') || call !== 'write') return 'ok'
    tries.add(updates)
    return 'ENOSPC'
  }
  const sizeOf = (path: string): number => disk.file(path)?.length ?? 0
  for (; tries.size < 2; updates++) await write(store, ['a', 'x'.repeat(500)], ['n', updates])
  await until('the try is given up', PATIENCE_MS, async () => (disk.file('/store/log.new') ? undefined : true))
  disk.fault = () => 'ok'
  const long = sizeOf('/store/log')
  await until('it is written anew', PATIENCE_MS, async () => {
    await write(store, ['a', 'y'.repeat(500)])
    return sizeOf('/store/log') < long / 2 ? true : undefined
  })
  await store.close()
  expect((await foundIn(() => openOn(disk)))['a']).toBe('y'.repeat(500))
})

test('a folder is of one store at a time, and free when that is closed', async () => {
  const dir = join(await folder(), 'made', 'on the way')
  const first = fileStore(dir)
  await write(first, ['a', 1])
  const second = fileStore(dir)
  await expect(second.load()).rejects.toThrow(`process ${process.pid} has ${dir} open`)
  await first.close()
  // Asked again, it looks again.
  expect(Object.fromEntries(await second.load())).toEqual({ a: 1 })
  await second.close()
  await (await openedAndClosed(dir)).close()
})

async function openedAndClosed(dir: string): Promise<ClientStore> {
  const store = fileStore(dir)
  await store.close()
  return store
}

test('what was asked before it is closed is done, also when it has to be opened for that', async () => {
  const dir = await folder()
  for (let round = 0; round < 2; round++) {
    const store = fileStore(dir)
    if (round === 1) await store.load()
    const writing = Array.from({ length: 20 }, (_, i) => write(store, [`${round}/${i}`, i]))
    await Promise.all([store.close(), ...writing])
    expect(Object.keys(await foundIn(() => fileStore(dir)))).toHaveLength(20 * (round + 1))
  }
})

test('a path is a text, and what lies there is a folder', async () => {
  expect(() => fileStore('')).toThrow('the path of a folder')
  expect(() => fileStore(undefined as never)).toThrow('the path of a folder')
  const dir = await folder()
  await writeFile(join(dir, 'file'), 'something else')
  await expect(fileStore(join(dir, 'file')).load()).rejects.toThrow()
  await writeFile(join(dir, 'log'), 'something else')
  // No record begins in it: so it counts as torn.
  await truncate(join(dir, 'log'), 5)
  expect(await foundIn(() => fileStore(dir))).toEqual({})
})
