import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { fileStore } from '../../src/file/index.ts'
import { memoryStore, personal, type Audit } from '../../src/index.ts'
import { entry, faultyStore, folder, key, open, privacy } from './stage.ts'

async function subjectOf(log: Audit): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const { data } of log.exportSubject('acme', 'u_9')) found.push(data['name'])
  return found
}

describe('what is in the spool', () => {
  test('was accepted: a flush waits for it', async () => {
    for (const runs of [false, true]) {
      const faulty = faultyStore()
      const log = open({
        store: faulty.store,
        spool: fileStore({ dir: await folder(), appendTimeout: '60s' }),
        key: key.signer,
      })
      if (runs) await log.start()
      faulty.isAway = true
      const { id, spooled } = await log.record(entry)
      expect(spooled).toBe(true)
      await expect(log.flush({ timeout: 100 })).rejects.toMatchObject({ retryable: true })
      faulty.isAway = false
      await expect
        .poll(
          async () =>
            log.flush().then(
              () => true,
              () => false,
            ),
          { timeout: 60_000 },
        )
        .toBe(true)
      expect(await log.get(id)).toMatchObject({ id })
    }
  })

  test('is erased too, and does not come back when it is moved', async () => {
    const faulty = faultyStore()
    const log = open({ store: faulty.store, spool: fileStore({ dir: await folder(), appendTimeout: '60s' }) })
    const named = { ...entry, data: { name: personal('u_9', 'Ann') } }
    await log.record(named)
    faulty.isAway = true
    expect((await log.record(named)).spooled).toBe(true)
    faulty.isAway = false
    const erased = async () => log.eraseSubject('acme', 'u_9', { reason: 'asked' })
    await expect.poll(async () => erased().catch(() => undefined), { timeout: 60_000 }).toMatchObject({ keys: 2 })
    await log.flush()
    expect((await log.inspect()).spool.entries).toBe(0)
    expect(await subjectOf(log)).toEqual([undefined, undefined])
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  test('holds up nobody when its folder is taken by another process', async () => {
    const dir = await folder()
    const other = fileStore({ dir, appendTimeout: '60s' })
    await other.health()
    const log = open({ spool: fileStore({ dir, appendTimeout: '60s' }) })
    await log.start()
    const { id } = await log.record(entry)
    await expect.poll(async () => log.get(id), { timeout: 60_000 }).toMatchObject({ id })
    await log.close()
    await other.close()
  })
})

test('a flush ends although others go on', async () => {
  const log = open({ store: fileStore({ dir: await folder(), appendTimeout: '60s' }) })
  const over = new AbortController()
  const others = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) await log.record(entry)
  })
  await sleep(1)
  await log.flush()
  over.abort()
  await Promise.all(others)
})

test('nothing is erased that cannot be told', async () => {
  const log = open()
  await log.record({ ...entry, data: { name: personal('u_9', 'Ann') } })
  const by = { type: 'user', id: '4111111111111111' }
  await expect(log.eraseSubject('acme', 'u_9', { reason: 'asked', by })).rejects.toMatchObject({
    code: 'ENTRY_INVALID',
  })
  await log.flush()
  expect(await subjectOf(log)).toEqual(['Ann'])
})

test('what is emitted after a restart waits for the store as before', async () => {
  const faulty = faultyStore()
  const log = open({ store: faulty.store })
  await log.start()
  await log.stop()
  await log.start()
  faulty.isAway = true
  log.emit(entry)
  await expect(log.record(entry)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect((await log.inspect()).dropped).toBe(0)
  faulty.isAway = false
  await expect
    .poll(async () => (await log.query({ scope: 'acme' }).catch(() => ({ entries: [] }))).entries.length, {
      timeout: 60_000,
    })
    .toBe(1)
})

test('a full store gets room by its retention, although nothing fits that says so before', async () => {
  const clock = virtualClock({ now: Date.now() })
  const store = fileStore({ dir: await folder(), maxBytes: 1 << 20, segmentBytes: 64 << 10, appendTimeout: '60s' })
  const log = open({ store, clock, retention: { keep: '1d' } })
  const large = { ...entry, data: { text: 'x'.repeat(20_000) } }
  const fill = async (): Promise<unknown> => {
    for (;;) await log.record(large)
  }
  await expect(fill()).rejects.toMatchObject({ code: 'STORE_FULL' })
  // Smaller ones find the last of the room.
  const fillUp = async (): Promise<unknown> => {
    for (;;) await log.record(entry)
  }
  await expect(fillUp()).rejects.toMatchObject({ code: 'STORE_FULL' })
  await log.flush()
  await clock.advance(2 * 86_400_000)
  expect((await log.applyRetention()).entries).toBeGreaterThan(30)
  await log.flush()
  expect((await log.query({ scope: 'keelson', action: 'audit.retention' })).entries).toHaveLength(1)
  expect(await log.verify()).toMatchObject({ ok: true })
})

test('a heartbeat follows the ids: what callers say of their time silences nothing', async () => {
  const clock = virtualClock({ now: Date.now() })
  const log = open({ store: memoryStore({ clock }), clock, checkpoint: { heartbeat: '1h' }, privacy })
  await log.record({ ...entry, at: Date.UTC(2099, 0) })
  await log.start()
  const beats = async () => (await log.query({ scope: 'keelson', action: 'audit.heartbeat' })).entries.length
  await expect.poll(async () => (await clock.advance(60_000), beats()), { timeout: 60_000, interval: 1 }).toBe(1)
})
