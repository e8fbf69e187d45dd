import { expect, test, vi } from 'vitest'
import { memoryStore, type ClientStore, type SyncClient } from '@keelson/sync/client'
import { openWorld, type Task } from './open-world.ts'

const task = (client: SyncClient) => client.collection<Task>('task')

/** Lets everything happen that needs no time. */
const quiet = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A store that somebody empties under those who have it open. */
function emptiedStore(): { store: ClientStore; empty(): Promise<void> } {
  const store = memoryStore()
  return {
    store,
    empty: async () => {
      const keys = Array.from(await store.load(), ([key]) => key)
      await store.update([], () => keys.map((key) => [key, undefined]))
    },
  }
}

test.each(['sync', 'edit'])('a store that was emptied has all again with the next step: %s', async (next) => {
  const world = openWorld()
  const { store, empty } = emptiedStore()
  const a = world.device('ann', { store })
  await task(a).put('t1', { team: '1', title: 'sent' })
  await a.sync()
  const { id } = a
  const { settled } = await task(a).put('t2', { team: '1', title: 'pending' })
  await empty()
  if (next === 'edit') {
    await task(a).patch('t1', { done: true })
    const held = new Map(await store.load())
    expect([...held.keys()].filter((key) => key.startsWith('o '))).toHaveLength(2)
  }
  expect(await a.sync()).toMatchObject({ pushed: next === 'edit' ? 2 : 1, issues: 0 })
  expect(await settled).toMatchObject({ status: 'applied' })
  expect(a.id).toBe(id)
  expect(a.pending().count).toBe(0)
  await a.stop()
  const again = world.device('ann', { store })
  expect((await task(again).all()).map(({ id }) => id).toSorted()).toEqual(['t1', 't2'])
})

test('a store that was emptied and begun anew by another: nothing of either is lost, and this one says so', async () => {
  const world = openWorld()
  const { store, empty } = emptiedStore()
  const told: ((keys: readonly string[]) => void)[] = []
  const watched = { ...store, watch: (fn: (keys: readonly string[]) => void) => (told.push(fn), () => {}) }
  const a = world.device('ann', { store: watched })
  await task(a).put('t1', { team: '1' })
  await empty()
  const b = world.device('ann', { store })
  await task(b).put('t2', { team: '1' })
  for (const fn of told) fn(['m', 'o 1'])
  await quiet()
  await expect(task(a).put('t3', { team: '1' })).rejects.toMatchObject({ code: 'STORE' })
  await expect(a.sync()).rejects.toMatchObject({ code: 'STORE', message: expect.stringContaining('begun anew') })
  expect(a.status().state).toBe('blocked')
  const left = []
  for await (const { id } of a.exportPending()) left.push(id)
  expect(left).toEqual(['t1'])
  expect(await b.sync()).toMatchObject({ pushed: 1 })
})

test('an edit of another tab that lost is told in its tab, once', async () => {
  const world = openWorld()
  const store = memoryStore()
  const told: ((keys: readonly string[]) => void)[] = []
  const watched = { ...store, watch: (fn: (keys: readonly string[]) => void) => (told.push(fn), () => {}) }
  const [own, other, ben] = [
    world.device('ann', { store: watched }),
    world.device('ann', { store }),
    world.device('ben'),
  ]
  await task(ben).put('t1', { team: '1', title: 'first' })
  await ben.sync()
  const { settled } = await task(own).put('t1', { team: '1', title: 'early' })
  const lost: object[] = []
  own.on('lost', (one) => lost.push(one))
  await world.clock.advance(10_000)
  await task(ben).patch('t1', { title: 'late' })
  await ben.sync()
  await other.sync()
  for (let again = 0; again < 2; again++) for (const fn of told) fn(['o 1'])
  expect(await settled).toMatchObject({ lost: ['title'] })
  await quiet()
  expect(lost).toEqual([{ c: 'task', id: 't1', fields: ['title'] }])
})

test('what another has settled, and not told yet, is not sent for ever', async () => {
  const world = openWorld()
  const store = memoryStore()
  const [a, b] = [world.device('ann', { store }), world.device('ann', { store })]
  await task(a).put('t1', { team: '1' })
  expect(await task(b).get('t1')).toEqual({ team: '1' })
  await a.sync()
  await b.sync()
  expect(b.pending().count).toBe(0)
  expect(world.asked.filter(({ path }) => path.endsWith('push'))).toHaveLength(2)
})

test('who edits all the time is not taken for one whose server fails', async () => {
  const world = openWorld()
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.999_999)
  const a = world.device('ann')
  let edits = 0
  // An edit in each pull: behind its round there is always something pending.
  world.weather = (path) => {
    if (path.endsWith('pull') && edits < 20) void task(a).put(`t${edits++}`, { team: '1' })
    return 'fine'
  }
  await a.start()
  await vi.waitFor(() => expect(edits).toBe(20), { timeout: 30_000 })
  await vi.waitFor(() => expect(a.pending().count).toBe(0), { timeout: 30_000 })
  random.mockRestore()
  await a.close()
})

test('a round that somebody asks for ends the pause behind a failure', async () => {
  const world = openWorld()
  const a = world.device('ann', { retry: { min: '5m' } })
  world.weather = () => Response.json({}, { status: 401, headers: { 'retry-after': '3600' } })
  await a.start()
  await quiet()
  expect(a.status().state).toBe('auth')
  world.weather = 'fine'
  await a.sync()
  const { settled } = await task(a).put('t1', { team: '1' })
  expect(await settled).toMatchObject({ status: 'applied' })
  await a.close()
})

test('a server with a later schema: a cursor of before is no longer one, and the outbox stays', async () => {
  const collections = (schemaVersion: number) => ({
    task: {
      fields: { team: 'lww', title: 'lww' },
      scope: ({ team }: Task) => `acme/team:${team}`,
      schemaVersion,
    },
  })
  for (const [before, after] of [
    [undefined, undefined],
    [1, 2],
  ]) {
    const old = openWorld({ options: { collections: collections(1) } as never })
    const now = openWorld({ options: { collections: collections(2) } as never })
    const store = memoryStore()
    const only = { collections: { task: {} }, store }
    const a = old.device('ann', { ...only, ...(before && { schemaVersion: before }) })
    await a.sync()
    await task(a).put('t1', { team: '1' })
    const b = now.device('ann', { ...only, ...(after && { schemaVersion: after }) })
    expect(await b.sync()).toMatchObject({ pushed: 1, issues: 0 })
    expect(b.status().state).toBe('idle')
    const tooOld = now.device('ann', { collections: { task: {} }, schemaVersion: 1 })
    await expect(tooOld.sync()).rejects.toMatchObject({ code: 'UPGRADE' })
  }
})
