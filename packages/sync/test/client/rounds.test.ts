import { describe, expect, test, vi } from 'vitest'
import { memoryStore, type ClientStatus, type ClientStore, type SyncClient } from '@keelson/sync/client'
import { openWorld, type Task, type World } from './open-world.ts'

const task = (client: SyncClient) => client.collection<Task>('task')

/** Lets everything happen that needs no time. */
const quiet = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}
/** That long at most: a busy machine may take a second at once. */
const soon = (isSo: () => void | Promise<void>) => vi.waitFor(isSo, { timeout: 30_000 })
const pulls = ({ asked }: World): number => asked.filter(({ path }) => path.endsWith('/pull')).length

test('started, it sends by itself, and asks now and then', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann', { interval: '30s' }), world.device('ben', { interval: '30s' })]
  await a.start()
  await b.start()
  await a.start()
  await quiet()
  const { settled } = await task(a).put('t1', { team: '1' })
  expect(await settled).toMatchObject({ status: 'applied' })
  expect(await task(b).get('t1')).toBeUndefined()
  await quiet()
  await world.clock.advance(30_000)
  await soon(async () => expect(await task(b).get('t1')).toEqual({ team: '1' }))
  await a.close()
  await b.stop()
  await quiet()
  const before = pulls(world)
  await world.clock.advance(60_000)
  await quiet()
  expect(pulls(world)).toBe(before)
  await expect(task(a).get('t1')).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(a.sync()).rejects.toMatchObject({ code: 'CLOSED' })
})

test('what was stopped or closed while it started stays so; what is started once more runs', async () => {
  const world = openWorld()
  const open = (who: string): SyncClient => world.device(who, { interval: '30s' })
  const [a, b, c] = [open('ann'), open('ben'), open('cem')]
  const starting = [a.start(), b.start(), c.start()]
  await Promise.all([a.stop(), b.close(), c.stop(), c.start()])
  await Promise.all(starting)
  await soon(() => expect(c.status()).toMatchObject({ state: 'idle', lastSyncedAt: expect.any(Number) }))
  await world.clock.advance(60_000)
  await quiet()
  expect(new Set(world.asked.map(({ body }) => body.client))).toEqual(new Set([c.id]))
  expect([a.status().state, b.status().state]).toEqual(['idle', 'idle'])
  await a.close()
  await c.close()
})

test('whoever closes once more waits for the same end', async () => {
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const a = openWorld().device('ann', { store: { ...memoryStore(), close: () => end } })
  let ended = 0
  const closing = [1, 2].map(async () => {
    await a.close()
    ended++
  })
  await quiet()
  expect(ended).toBe(0)
  resolve()
  await Promise.all(closing)
})

test('live: the answer waits for news, and an edit does not wait for the answer', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann', { live: true }), world.device('ben', { live: true })]
  await a.start()
  await b.start()
  await soon(() => expect(world.asked.filter(({ body }) => body.waitMs === 25_000)).toHaveLength(2))
  const seen: string[] = []
  task(b).watch((ids) => seen.push(...ids))
  const { settled } = await task(a).put('t1', { team: '1' })
  expect(await settled).toMatchObject({ status: 'applied' })
  await world.clock.advance(250)
  await soon(async () => expect(await task(b).get('t1')).toEqual({ team: '1' }))
  expect(seen).toEqual(['t1'])
  expect(b.status().state).toBe('idle')
  await a.close()
  await b.close()
})

test('failures: pauses that grow, what the server asks for, and back to work', async () => {
  const world = openWorld()
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.999_999)
  const a = world.device('ann', { retry: { min: '1s', max: '5s' } })
  const states: ClientStatus['state'][] = []
  a.on('status', ({ state }) => states.push(state))
  world.weather = 'no request'
  await a.start()
  await quiet()
  const tries: number[] = []
  for (const seconds of [1, 2, 4, 5, 5]) {
    await world.clock.advance(seconds * 1_000 - 10)
    await quiet()
    tries.push(pulls(world))
    await world.clock.advance(10)
    await quiet()
  }
  expect(tries).toEqual([1, 2, 3, 4, 5])
  expect(a.status()).toMatchObject({ state: 'offline', error: expect.stringContaining('cannot be reached') })
  world.weather = () => Response.json({ code: 'store-unavailable' }, { status: 503, headers: { 'retry-after': '60' } })
  await world.clock.advance(5_000)
  await quiet()
  await world.clock.advance(59_000)
  await quiet()
  expect(pulls(world)).toBe(7)
  world.weather = () => Response.json({ code: 'unauthorized' }, { status: 401 })
  await world.clock.advance(1_000)
  await quiet()
  expect(a.status().state).toBe('auth')
  world.weather = 'fine'
  await a.sync()
  expect(a.status()).not.toHaveProperty('error')
  expect(states).toEqual(expect.arrayContaining(['syncing', 'offline', 'auth', 'idle']))
  random.mockRestore()
  await a.close()
})

test.each([
  ['AUTH', 'auth', () => Response.json({ code: 'unauthorized' }, { status: 401 })],
  ['AUTH', 'auth', () => Response.json({ code: 'forbidden' }, { status: 403 })],
  ['UPGRADE', 'upgrade', () => Response.json({ code: 'schema-changed' }, { status: 410 })],
  ['UPGRADE', 'upgrade', () => Response.json({ code: 'version-unsupported' }, { status: 400 })],
  ['OFFLINE', 'offline', () => new Response('<html>', { status: 502 })],
  ['OFFLINE', 'offline', () => new Response('<html>sign in to the hotel', { status: 200 })],
  ['OFFLINE', 'offline', () => Response.json({ hello: 'world' })],
  ['OFFLINE', 'offline', () => Response.json(null)],
] as const)('%s: nothing is lost', async (code, state, answer) => {
  const world = openWorld()
  const a = world.device('ann')
  await task(a).put('t1', { team: '1' })
  world.weather = answer
  await expect(a.sync()).rejects.toMatchObject({ name: 'SyncClientError', code })
  expect(a.status().state).toBe(state)
  expect(a.pending().count).toBe(1)
  const exported = []
  for await (const one of a.exportPending()) exported.push(one)
  expect(exported).toMatchObject([{ c: 'task', id: 't1', op: { t: 'put', set: { team: '1' } } }])
  world.weather = 'fine'
  expect(await a.sync()).toEqual({ pushed: 1, pulled: 1, issues: 0 })
})

test('a server that takes no name of ours is not asked for ever', async () => {
  const world = openWorld()
  const a = world.device('ann')
  await task(a).put('t1', { team: '1' })
  world.weather = (path) =>
    path.endsWith('pull') ? Response.json({ code: 'client-foreign' }, { status: 403 }) : 'fine'
  await expect(a.sync()).rejects.toMatchObject({ code: 'AUTH' })
  expect(pulls(world)).toBe(2)
  world.weather = () => Response.json({ code: 'client-foreign' }, { status: 403 })
  await task(a).put('t2', { team: '1' })
  await expect(a.sync()).rejects.toMatchObject({ code: 'AUTH' })
  expect(a.pending().count).toBe(1)
  world.weather = 'fine'
  await a.sync()
  expect(a.pending().count).toBe(0)
})

test('a server that takes less at once is told less; what is too large alone is an issue', async () => {
  const world = openWorld({ options: { limits: { bodyBytes: 65_536, recordBytes: 30_000 } } })
  const a = world.device('ann')
  world.weather = (path) => {
    const { body } = world.asked.at(-1)!
    const isLarge = path.endsWith('push') && JSON.stringify(body).length > 2_000
    return isLarge ? Response.json({ code: 'body-too-large' }, { status: 413 }) : 'fine'
  }
  for (let i = 0; i < 20; i++) await task(a).put(`t${i}`, { team: '1', title: 'x'.repeat(100) })
  await task(a).put('huge', { team: '1', title: 'x'.repeat(2_000) })
  expect(await a.sync()).toMatchObject({ pushed: 21, issues: 1 })
  expect(a.issues()).toMatchObject([{ id: 'huge', code: 'too-large' }])
})

test('a server that takes fewer operations at once is sent fewer; one that takes none says so', async () => {
  const world = openWorld({ options: { limits: { opsPerPush: 3 } } })
  const a = world.device('ann')
  for (let i = 0; i < 20; i++) await task(a).put(`t${i}`, { team: '1' })
  expect(await a.sync()).toMatchObject({ pushed: 20, issues: 0 })
  expect(a.pending().count).toBe(0)
  world.weather = () => Response.json({ code: 'request-invalid' }, { status: 400 })
  for (let i = 0; i < 5; i++) await task(a).patch(`t${i}`, { done: true })
  await expect(a.sync()).rejects.toMatchObject({ code: 'UPGRADE' })
  expect(a.pending().count).toBe(5)
})

test('priorities first, records in their order, what must wait does not hold up others', async () => {
  const world = openWorld()
  const a = world.device('ann', { collections: { task: {}, note: { priority: 1 } } })
  for (let i = 0; i < 3; i++) await task(a).put('t1', { team: '1', title: String(i) })
  await a.collection('note').put('n1', { text: 'x' })
  const { op } = await task(a).put('t2', { team: '1' })
  await task(a).patch('t1', { done: true }, { dep: op })
  await a.sync()
  const pushed = world.asked.flatMap(({ path, body }) =>
    path.endsWith('push') ? body.ops.map(({ id, set }: any) => `${id} ${set.title ?? ''}`) : [],
  )
  expect(pushed.slice(0, 2)).toEqual(['n1 ', 't1 0'])
  expect(pushed.filter((one: string) => one.startsWith('t1'))).toEqual(['t1 0', 't1 1', 't1 2', 't1 '])
  expect(a.pending().count).toBe(0)
})

describe('what an edit depends on is known to the device when the server knows it under another name', () => {
  /** A device whose edit of t1 has a new name, and that of n1 the one before. */
  async function renamed(text: string) {
    const world = openWorld()
    const a = world.device('ann', { collections: { task: {}, note: { priority: 1 } } })
    await task(a).put('t1', { team: '1' })
    await a.sync()
    const before = a.id
    const first = await a.collection('note').put('n1', { [text]: 'x' })
    const second = await task(a).patch('t1', { done: true }, { dep: first.op })
    // As many as make a push of their own, all of them newer.
    for (let i = 0; i < 199; i++) await a.collection('note').put(`m${i}`, { text: 'x' })
    await a.sync()
    expect(a.id).not.toBe(before)
    expect(a.pending().count).toBe(0)
    return { world, a, first, second }
  }

  test('it was applied: so is the edit', async () => {
    const { world, second } = await renamed('text')
    expect(await second.settled).toMatchObject({ status: 'applied' })
    const b = world.device('ben')
    await b.sync()
    expect(await task(b).get('t1')).toEqual({ team: '1', done: true })
  })

  test('it was refused: so is the edit', async () => {
    const { a, second } = await renamed('no field')
    expect(await second.settled).toMatchObject({ status: 'rejected', code: 'dependency' })
    expect(a.issues().map(({ id, code }) => [id, code])).toEqual([
      ['n1', 'invalid'],
      ['t1', 'dependency'],
    ])
  })
})

test('another person on the same store: what they may not see goes, nothing is sent in a wrong name', async () => {
  const world = openWorld({ teams: (who) => (who === 'ann' ? ['1'] : ['2']) })
  const store = memoryStore()
  const a = world.device('ann', { store })
  await task(a).put('t1', { team: '1' })
  await a.sync()
  await task(a).patch('t1', { title: 'of ann' })
  await expect(a.signOut()).rejects.toMatchObject({ code: 'UNSENT_CHANGES' })
  const b = world.device('ben', { store })
  await b.sync()
  expect(await b.collection('task').all()).toEqual([])
  expect(b.issues()).toMatchObject([{ code: 'scope-lost', mine: { title: 'of ann' } }])
  expect(b.id).not.toBe('')
})

test('signing out forgets everything, and the next one begins anew', async () => {
  const world = openWorld()
  const store = memoryStore()
  const a = world.device('ann', { store })
  await task(a).put('t1', { team: '1' })
  await a.sync()
  const { id } = a
  const { settled } = await task(a).put('t2', { team: '1' })
  await expect(a.signOut()).rejects.toMatchObject({
    code: 'UNSENT_CHANGES',
    message: expect.stringContaining('1 edit'),
  })
  await a.signOut({ force: true })
  expect(await settled).toMatchObject({ status: 'rejected', code: 'signed-out' })
  expect(await task(a).all()).toEqual([])
  expect(a.id).not.toBe(id)
  expect(a.status()).toEqual({ state: 'idle', lastSyncedAt: null, offset: 0 })
  expect([...(await store.load())]).toHaveLength(1)
  await a.sync()
  expect((await task(a).all()).map((one) => one.id)).toEqual(['t1'])
})

test('its clock may be days off, and be set: edits count as of when they were made', async () => {
  const world = openWorld()
  const { clock } = world
  let skewMs = 48 * 3_600_000
  const own = { ...clock, now: () => clock.now() + skewMs, monotonic: () => clock.monotonic() }
  const [a, b] = [world.device('ann', { clock: own }), world.device('ben')]
  await a.sync()
  expect(a.status().offset).toBe(-skewMs)
  await task(a).put('t1', { team: '1', title: 'early' })
  await clock.advance(60_000)
  skewMs = -3_600_000
  await task(b).put('t1', { team: '1', title: 'late' })
  await b.sync()
  await a.sync()
  expect(await task(a).get('t1')).toEqual({ team: '1', title: 'late' })
})

test('a device that slept does not make its edits younger', async () => {
  const world = openWorld()
  const { clock } = world
  let sleptMs = 0
  const own = { ...clock, now: () => clock.now(), monotonic: () => clock.monotonic() - sleptMs }
  const [a, b] = [world.device('ann', { clock: own }), world.device('ben')]
  await task(a).put('t1', { team: '1', title: 'early' })
  await clock.advance(60_000)
  await task(b).put('t1', { team: '1', title: 'late' })
  await b.sync()
  await clock.advance(8 * 3_600_000)
  sleptMs = 8 * 3_600_000
  await a.sync()
  await b.sync()
  expect(await task(b).get('t1')).toEqual({ team: '1', title: 'late' })
})

test('a disk that takes long does not make the clock wrong', async () => {
  const world = openWorld()
  const held = memoryStore()
  let isSlow = false
  const store: ClientStore = {
    load: () => held.load(),
    async update(keys, decide) {
      await held.update(keys, decide)
      if (isSlow) await world.clock.advance(10_000)
    },
    close: () => held.close(),
  }
  const a = world.device('ann', { store })
  await a.sync()
  const { id } = a
  // More than one push takes: what is pending behind the first one would be older than what the server has of it.
  for (let i = 0; i < 501; i++) await task(a).put(`t${i}`, { team: '1' })
  isSlow = true
  await a.sync()
  isSlow = false
  expect([a.pending().count, a.status().offset, a.id]).toEqual([0, 0, id])
})

test('a store that fails says so; what had been kept is there', async () => {
  const world = openWorld()
  const held = memoryStore()
  let fails = false
  const store: ClientStore = {
    ...held,
    update: (keys, decide) => (fails ? Promise.reject(new Error('disk full')) : held.update(keys, decide)),
  }
  const a = world.device('ann', { store })
  await task(a).put('t1', { team: '1' })
  fails = true
  await expect(task(a).put('t2', { team: '1' })).rejects.toMatchObject({
    code: 'STORE',
    cause: { message: 'disk full' },
  })
  await expect(a.sync()).rejects.toMatchObject({ code: 'STORE' })
  expect(a.status().state).toBe('blocked')
  expect(a.pending().count).toBe(1)
  fails = false
  expect(await a.sync()).toMatchObject({ pushed: 1 })
})

test('documents are copies, and input is checked before anything is kept', async () => {
  const world = openWorld()
  const a = world.device('ann')
  const doc = { team: '1', title: 'x' }
  await task(a).put('t1', doc)
  doc.title = 'changed'
  const got = (await task(a).get('t1'))!
  got.title = 'changed too'
  expect(await task(a).get('t1')).toEqual({ team: '1', title: 'x' })
  const notes = a.collection<Record<string, unknown>>('note')
  for (const [id, text] of [
    ['n 1', 'x'],
    ['', 'x'],
    ['n1', Number.NaN],
    ['n1', undefined],
    ['n1', 'a\u0000'],
    ['n1', new Date()],
    ['n1', 2 ** 60],
  ] as const) {
    await expect(notes.put(id, { text })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  }
  await expect(notes.patch('n1', {}, { unset: ['a', 'a'] })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  expect(() => a.collection('nothing')).toThrow('there is no collection "nothing", only task, note')
  expect(a.pending().count).toBe(1)
})
