import { expect, test } from 'vitest'
import { memoryStore } from '@keelson/sync/client'
import { openWorld, type Task } from './open-world.ts'

test('what one device does offline another has, once both have met the server', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann'), world.device('ben')]
  world.weather = 'no request'
  const { settled } = await a.collection<Task>('task').put('t1', { team: '1', title: 'Call' })
  await a.collection<Task>('task').patch('t1', { done: true })
  expect(await a.collection<Task>('task').get('t1')).toEqual({ team: '1', title: 'Call', done: true })
  expect(a.pending()).toMatchObject({ count: 2, records: ['task/t1'] })
  await expect(a.sync()).rejects.toMatchObject({ code: 'OFFLINE', retryable: true })
  expect(a.status()).toMatchObject({ state: 'offline' })
  world.weather = 'fine'
  expect(await a.sync()).toMatchObject({ pushed: 2, issues: 0 })
  expect(await settled).toMatchObject({ status: 'applied' })
  expect(a.pending()).toEqual({ count: 0, bytes: 0, oldestAt: null, records: [] })
  expect(a.status()).toEqual({ state: 'idle', lastSyncedAt: world.clock.now(), offset: 0 })
  await b.sync()
  expect(await b.collection('task').all()).toEqual([
    { id: 't1', doc: { team: '1', title: 'Call', done: true }, pending: false },
  ])
})

test('an answer that was lost is asked for again, and counts once', async () => {
  const world = openWorld()
  const a = world.device('ann')
  const { settled } = await a.collection<Task>('task').put('t1', { team: '1' })
  world.weather = 'no answer'
  await expect(a.sync()).rejects.toMatchObject({ code: 'OFFLINE' })
  expect(a.pending().count).toBe(1)
  world.weather = 'fine'
  await a.sync()
  expect(await settled).toMatchObject({ status: 'applied', replay: true })
  expect(a.pending().count).toBe(0)
})

test('strict fields: edits of one record go one after the other, each having seen the last', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann'), world.device('ben')]
  const tasks = a.collection<Task>('task')
  await tasks.put('t1', { team: '1', budget: 1 })
  for (const budget of [2, 3, 4]) await tasks.patch('t1', { budget })
  expect(await a.sync()).toMatchObject({ pushed: 4, issues: 0 })
  await b.sync()
  await b.collection<Task>('task').patch('t1', { budget: 5 })
  await tasks.patch('t1', { budget: 6 })
  await tasks.patch('t1', { title: 'mine' })
  await a.sync()
  expect(await b.sync()).toMatchObject({ pushed: 1, issues: 1 })
  const [issue] = b.issues()
  expect(issue).toMatchObject({
    c: 'task',
    id: 't1',
    code: 'stale-base',
    mine: { team: '1', budget: 5 },
    theirs: { team: '1', budget: 6 },
  })
  expect(await b.collection('task').get('t1')).toEqual({ team: '1', budget: 6, title: 'mine' })
  await issue!.keepMine()
  expect(b.issues()).toEqual([])
  await b.sync()
  await a.sync()
  expect(await tasks.get('t1')).toEqual({ team: '1', budget: 5, title: 'mine' })
})

test('an edit of a deleted record is an issue: discard, retry, or bring it back', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann'), world.device('ben')]
  await a.collection<Task>('task').put('t1', { team: '1', title: 'x' })
  await a.sync()
  await b.sync()
  await a.collection<Task>('task').delete('t1')
  await b.collection<Task>('task').patch('t1', { title: 'y' })
  const issues: unknown[] = []
  b.on('issue', (issue) => issues.push(issue.code))
  await a.sync()
  await b.sync()
  expect(issues).toEqual(['gone'])
  expect(await b.collection('task').get('t1')).toBeUndefined()
  expect(b.issues()[0]).toMatchObject({ code: 'gone', mine: { team: '1', title: 'y' }, theirs: null })
  await b.issues()[0]!.retry()
  expect(await b.sync()).toMatchObject({ issues: 1 })
  await b.issues()[0]!.keepMine()
  await b.sync()
  await a.sync()
  expect(await a.collection('task').get('t1')).toEqual({ team: '1', title: 'y' })
  await a.collection<Task>('task').put('t2', { team: '1', title: 'forbidden' })
  expect(await a.sync()).toMatchObject({ issues: 1 })
  expect(a.issues()[0]).toMatchObject({ code: 'forbidden' })
  await a.issues()[0]!.discard()
  expect(a.issues()).toEqual([])
})

test('what leaves the scope leaves the device, and its edits become issues', async () => {
  let teams = ['1', '2']
  const world = openWorld({ teams: () => teams })
  const a = world.device('ann')
  await a.collection<Task>('task').put('t1', { team: '1' })
  await a.collection<Task>('task').put('t2', { team: '2' })
  await a.sync()
  teams = ['1']
  world.weather = (path) => (path.endsWith('push') ? 'no request' : 'fine')
  await a.collection<Task>('task').patch('t2', { title: 'late' })
  await expect(a.sync()).rejects.toThrow()
  world.weather = 'fine'
  await a.sync()
  expect((await a.collection('task').all()).map(({ id }) => id)).toEqual(['t1'])
  expect(a.issues()).toMatchObject([{ code: 'scope-lost', id: 't2', theirs: null }])
})

test('a cursor that has expired: everything again, and the outbox stays', async () => {
  const world = openWorld()
  const [a, b] = [world.device('ann'), world.device('ben')]
  await a.collection<Task>('task').put('t1', { team: '1' })
  await a.collection<Task>('task').put('t2', { team: '1' })
  await a.sync()
  await b.sync()
  await a.collection<Task>('task').delete('t2')
  await a.sync()
  await world.sync.rebase()
  await b.collection<Task>('task').put('t3', { team: '1' })
  expect(await b.sync()).toMatchObject({ pushed: 1 })
  expect((await b.collection('task').all()).map(({ id }) => id).toSorted()).toEqual(['t1', 't3'])
})

test('starting over loses no edit: neither one that was not sent yet, nor one that waits for the user', async () => {
  const world = openWorld()
  const a = world.device('ann')
  await a.collection<Task>('task').put('t1', { team: '1', title: 'forbidden' })
  await a.sync()
  await world.sync.rebase()
  await a.collection<Task>('task').put('t2', { team: '1' })
  // As behind a sleep: it asks before it sends.
  world.clock.jumpWall(60_000)
  await a.sync()
  const pulls = world.asked.filter(({ path }) => path.endsWith('/pull'))
  expect(pulls.map(({ body }) => body.cursor === null)).toEqual([true, false, true, false])
  expect(await a.collection('task').all()).toEqual([{ id: 't2', doc: { team: '1' }, pending: false }])
  expect(a.issues()).toMatchObject([{ id: 't1', code: 'forbidden' }])
})

test('a copy of a store takes a name of its own, and nothing is lost', async () => {
  const world = openWorld()
  const store = memoryStore()
  const a = world.device('ann', { store })
  await a.collection<Task>('task').put('t1', { team: '1', title: 'x' })
  await a.sync()
  const copy = memoryStore()
  const held = [...(await store.load())]
  await copy.update([], () => held)
  const b = world.device('ann', { store: copy })
  await b.collection<Task>('task').patch('t1', { title: 'of b' })
  await world.clock.advance(1_000)
  await a.collection<Task>('task').patch('t1', { title: 'of a' })
  await a.sync()
  await b.collection<Task>('task').patch('t1', { title: 'of b' }) // behind, not before
  await b.sync()
  expect(b.pending().count).toBe(0)
  await a.sync()
  expect(await a.collection('task').get('t1')).toEqual(await b.collection('task').get('t1'))
})
