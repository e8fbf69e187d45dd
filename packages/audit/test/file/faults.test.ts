import { expect, test } from 'vitest'
import { silentLogger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createAudit, generateKey } from '../../src/index.ts'
import type { Row } from '../../src/store.ts'
import { fold } from './fake-tree.ts'
import type { SimulatedDisk } from '../../../../tools/faults/simulated-disk.ts'
import { LOG, newDisk, newRow, openOn, rows, sealedIn, SEGMENTS } from './stage.ts'

const idsOf = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id)

/** Breaks one byte of the first place with this text. */
function scratch(disk: SimulatedDisk, text: string): string {
  const path = disk.paths().find((path) => path.startsWith(SEGMENTS) && disk.file(path)!.includes(text))!
  const bytes = disk.file(path)!
  bytes[bytes.indexOf(text)]! ^= 1
  return path
}

test('what comes while the disk syncs is the next batch', async () => {
  const disk = newDisk()
  const store = openOn(disk)
  await store.head(LOG)
  let syncs = 0
  disk.fault = (call) => (call === 'datasync' && syncs++, 'ok')
  const first = store.append(LOG, rows(1))
  await new Promise((resolve) => process.nextTick(resolve))
  await Promise.all([first, ...rows(20).map((row) => store.append(LOG, [row]))])
  expect(syncs).toBe(2)
})

test('a file whose sync has failed is never synced again: what nobody was told of goes to another one', async () => {
  const disk = newDisk()
  const told: (readonly [object, string])[] = []
  const store = openOn(disk, { logger: { ...silentLogger, error: (...line) => void told.push(line) } })
  await store.append(LOG, rows(2))
  const syncs: string[] = []
  disk.fault = (call, path) => {
    if (call === 'datasync') syncs.push(path)
    return call === 'datasync' && syncs.length === 1 ? 'EIO' : 'ok'
  }
  const batch = rows(3)
  await store.append(LOG, batch)
  await store.append(LOG, rows(1))
  expect(syncs).toEqual(['0', '2', '2'].map((first) => `${SEGMENTS}/${first.padStart(16, '0')}.seg`))
  expect(told).toMatchObject([[{ err: { code: 'EIO' } }, 'audit.store.poisoned']])

  const after = openOn(disk.afterCrash())
  expect(await after.seal(LOG, 100, fold)).toBe(6)
  expect((await sealedIn(after)).ids.slice(2, 5)).toEqual(idsOf(batch))
})

test('without room nothing of it is kept, callers hear STORE_FULL, and then it goes on in the same file', async () => {
  const disk = newDisk()
  const store = openOn(disk)
  const kept = [...rows(1), ...rows(1)]
  await store.append(LOG, [kept[0]!])
  // The first write is cut short in the middle of the batch.
  let writes = 0
  disk.fault = (call) => {
    if (call !== 'write') return 'ok'
    return ++writes === 1 ? 'short' : 'ENOSPC'
  }
  const refused = rows(8)
  await expect(store.append(LOG, refused)).rejects.toMatchObject({ code: 'STORE_FULL', retryable: true })
  disk.fault = () => 'ok'
  await store.append(LOG, [kept[1]!])
  expect(disk.paths().filter((path) => path.endsWith('.seg'))).toHaveLength(1)
  const after = openOn(disk.afterCrash())
  await after.seal(LOG, 100, fold)
  expect((await sealedIn(after)).ids).toEqual(idsOf(kept))
})

test('over `maxBytes` entries are refused, until some are pruned', async () => {
  const store = openOn(newDisk(), { maxBytes: 12_000 })
  const text = 'x'.repeat(1000)
  let taken = 0
  const fill = async (): Promise<void> => {
    for (; ; taken++) await store.append(LOG, [newRow({ text })])
  }
  await expect(fill()).rejects.toMatchObject({ code: 'STORE_FULL' })
  expect(taken).toBe(10)
  await expect(store.append(LOG, [newRow({ text })])).rejects.toMatchObject({ code: 'STORE_FULL' })
  await store.seal(LOG, 100, fold)
  expect(await store.prune(LOG, await store.prunable(LOG, Date.now() + 1000))).toBe(10)
  await store.append(LOG, [newRow({ text })])
})

test('a disk that does not answer: STORE_UNAVAILABLE, and what it wrote late counts once', async () => {
  const disk = newDisk()
  const frozen = Promise.withResolvers<void>()
  let isFrozen = false
  const files = {
    ...disk,
    async open(path: string, mode: 'new' | 'old') {
      const file = await disk.open(path, mode)
      return { ...file, datasync: () => (isFrozen ? frozen.promise : Promise.resolve()).then(file.datasync) }
    },
  }
  const store = openOn(disk, { files, timeoutMs: 50 })
  await store.head(LOG)
  isFrozen = true
  const [first, second] = rows(2) as [ReturnType<typeof newRow>, ReturnType<typeof newRow>]
  const unavailable = { code: 'STORE_UNAVAILABLE', retryable: true }
  await expect(store.append(LOG, [first])).rejects.toMatchObject(unavailable)
  // The same again, with another: on its way already.
  await expect(store.append(LOG, [first, second])).rejects.toMatchObject(unavailable)
  let isHealthy = false
  const health = store.health().then(() => (isHealthy = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(isHealthy).toBe(false)
  isFrozen = false
  frozen.resolve()
  await health
  await store.append(LOG, [first, second])
  await store.seal(LOG, 100, fold)
  expect((await sealedIn(store)).ids).toEqual([first.id, second.id])
})

test('a known id is done with the same bytes and refused with others: sealed, waiting, on its way, in one call', async () => {
  const disk = newDisk()
  let store = openOn(disk)
  const row = newRow()
  const other = { ...row, bytes: Buffer.from('{}') }
  const refused = { code: 'ENTRY_INVALID', message: expect.stringContaining(row.id) }
  await expect(store.append(LOG, [row, other])).rejects.toMatchObject(refused)
  const first = store.append(LOG, [row, row])
  await expect(store.append(LOG, [other])).rejects.toMatchObject(refused)
  await Promise.all([first, store.append(LOG, [row])])
  await expect(store.append(LOG, [newRow(), other])).rejects.toMatchObject(refused)
  await store.append(LOG, [row])
  await store.seal(LOG, 9, fold)
  await store.append(LOG, [row])
  await store.close()
  store = openOn(disk)
  await store.append(LOG, [row])
  await expect(store.append(LOG, [other])).rejects.toMatchObject(refused)
  expect(await store.inspect(LOG)).toMatchObject({ size: 1, unsealed: 0 })
})

test('a sealed entry that is broken later: start succeeds, its bytes are null and set aside by name', async () => {
  const disk = newDisk()
  const before = openOn(disk)
  const all = rows(30)
  for (const row of all) await before.append(LOG, [row])
  while ((await before.seal(LOG, 7, fold)) !== 0) {}
  await before.close()
  const path = scratch(disk, all[12]!.id)
  // The newest one as well: it is not torn, for it was sealed.
  scratch(disk, all[29]!.id)

  const store = openOn(disk)
  const { ids, there } = await sealedIn(store)
  expect(ids).toEqual(idsOf(all))
  expect(there.flatMap((isThere, index) => (isThere ? [] : [index]))).toEqual([12, 29])
  const aside = disk.paths().filter((name) => name.startsWith('/audit/main/broken/'))
  expect(aside).toHaveLength(2)
  expect(aside[0]).toContain(path.slice(SEGMENTS.length + 1))
  // It is known by its leaf, and who tells it again does not make another one of it.
  const known = (n: number) => ({ leaf: { index: n, id: all[n]!.id }, bytes: null })
  for (const n of [12, 29]) expect(await store.find(LOG, all[n]!.id)).toMatchObject(known(n))
  await store.append(LOG, [all[12]!])
  const more = newRow()
  await store.append(LOG, [more])
  await store.seal(LOG, 9, fold)
  expect(await store.find(LOG, more.id)).toMatchObject({ leaf: { index: 30 } })
  expect(await store.find(LOG, newRow().id)).toBe(null)
  // While it is open.
  scratch(disk, all[5]!.id)
  expect(await store.find(LOG, all[5]!.id)).toMatchObject(known(5))
  await store.close()
  expect((await sealedIn(openOn(disk))).ids).toHaveLength(31)
})

test('one that is broken before it is sealed never gets an index; indexes stay dense and final', async () => {
  const disk = newDisk()
  const before = openOn(disk)
  const all = rows(6)
  for (const row of all) await before.append(LOG, [row])
  await before.seal(LOG, 2, fold)
  const found = disk.afterCrash()
  scratch(found, all[3]!.id)
  scratch(disk, all[3]!.id)
  const left = idsOf(all.toSpliced(3, 1))
  // Found by the reader, and found at start.
  for (const store of [openOn(found), before]) {
    await store.seal(LOG, 100, fold)
    expect((await sealedIn(store)).ids).toEqual(left)
    expect((await store.find(LOG, all[5]!.id))?.leaf.index).toBe(4)
  }
  const more = newRow()
  await before.append(LOG, [more])
  await before.seal(LOG, 100, fold)
  await before.close()
  expect((await sealedIn(openOn(disk))).ids).toEqual([...left, more.id])
})

test('keys of a person are destroyed in one step, wherever the power goes, and leave no byte behind', async () => {
  for (let crashAt = 1; ; crashAt++) {
    const disk = newDisk(crashAt)
    const store = openOn(disk)
    const all = Array.from({ length: 40 }, (_, i) => newRow({ text: 'x'.repeat(200) }, [`p${i % 3}`, 'q']))
    for (const row of all) await store.append(LOG, [row])
    expect(disk.paths().filter((path) => path.endsWith('.keys')).length).toBeGreaterThan(2)
    let calls = 0
    const crashed = Promise.withResolvers<'crash'>()
    disk.fault = () => {
      if (++calls !== crashAt) return 'ok'
      crashed.resolve('crash')
      return 'crash'
    }
    const how = await Promise.race([store.destroyKeys(LOG, 'acme', 'p1').catch(() => 'crash'), crashed.promise])
    const after = disk.afterCrash()
    const there = await openOn(after).keys(LOG, idsOf(all))
    const mine = there.filter(({ ref }) => ref === 'p1')
    expect(there.length - mine.length).toBe(67)
    expect([0, 13]).toContain(mine.length)
    if (mine.length === 0) expect(after.holds(Buffer.from('secret of p1'))).toBe(false)
    expect(after.holds(Buffer.from('secret of p0'))).toBe(true)
    if (how === 'crash') continue
    expect(how).toBe(13)
    expect(mine).toEqual([])
    break
  }
})

test('a spool hands its rows on in order with their keys, again when that fails, and forgets them with their files', async () => {
  const disk = newDisk()
  let store = openOn(disk)
  const all = Array.from({ length: 30 }, () => newRow({ text: 'x'.repeat(300) }, ['p']))
  for (const row of all) await store.append(LOG, [row])
  const moved: string[] = []
  const move = async (batch: readonly { readonly id: string; readonly keys: readonly object[] }[]): Promise<void> => {
    expect(batch.every(({ keys }) => keys.length === 1)).toBe(true)
    moved.push(...idsOf(batch))
  }
  const away = new Error('away')
  await expect(store.drain!(LOG, 7, () => Promise.reject(away))).rejects.toBe(away)
  expect(await store.waiting!(LOG)).toEqual({ entries: 30, oldestMs: expect.any(Number) })
  expect(await store.drain!(LOG, 7, move)).toBe(7)
  store = openOn(disk.afterCrash())
  expect(await store.drain!(LOG, 15, move)).toBe(15)
  await store.append(LOG, [newRow({}, ['p'])])
  while ((await store.drain!(LOG, 10, move)) > 0) {}
  expect(moved.slice(0, 30)).toEqual(idsOf(all))
  expect(moved).toHaveLength(31)
  expect(await store.waiting!(LOG)).toEqual({ entries: 0, oldestMs: null })
  expect(await store.inspect(LOG)).toMatchObject({ bytes: 0 })
})

test('a disk that is busy is no outage: an audit log waits for it as long as the store does', async () => {
  const disk = newDisk()
  const busy = Promise.withResolvers<void>()
  const files = {
    ...disk,
    async open(path: string, mode: 'new' | 'old') {
      const file = await disk.open(path, mode)
      return { ...file, datasync: () => busy.promise.then(file.datasync) }
    },
  }
  const clock = virtualClock()
  const { signer } = generateKey('test.example/audit')
  await using audit = createAudit({ store: openOn(disk, { files }), key: signer, storeTimeout: '10ms', clock })
  const recording = audit.record({ scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_1' } })
  await clock.advance('30s')
  busy.resolve()
  expect(await recording).toMatchObject({ durability: 'fsync', spooled: false })
})

test('keys that are on their way out of a spool are waited for, and then destroyed where they arrive', async () => {
  const store = openOn(newDisk())
  await store.append(LOG, [newRow({}, ['u_9'])])
  const arrived = Promise.withResolvers<void>()
  const moving = Promise.withResolvers<readonly Row[]>()
  const draining = store.drain!(LOG, 10, async (rows) => {
    moving.resolve(rows)
    await arrived.promise
  })
  expect((await moving.promise)[0]!.keys.length).toBe(1)
  let isDone = false
  const destroying = store.destroyKeys(LOG, 'acme', 'u_9').then(() => (isDone = true))
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(isDone).toBe(false)
  arrived.resolve()
  await Promise.all([draining, destroying])
})
