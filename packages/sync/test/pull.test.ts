import { describe, expect, test } from 'vitest'
import type { Caller } from '@keelson/sync'
import { ann, bob, newStores, openDevice, openSync } from './open-sync.ts'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const task = { team: '1', title: 'Call', done: false }

describe.each(Object.entries(newStores))('on %s', (_, newStore) => {
  test('a device gets everything, then what is new, in pages of any size', async () => {
    await using sync = openSync({ store: await newStore() })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(...Array.from({ length: 7 }, (_, i) => one.op(`t${i}`, 'put', { set: task })))
    const pages = await two.pull(3)
    expect(pages.map(({ mode, more }) => [mode, more])).toEqual([
      ['snapshot', true],
      ['snapshot', true],
      ['snapshot', false],
    ])
    expect(two.records.size).toBe(7)
    await one.push(
      one.op('t3', 'delete'),
      one.op('t4', 'patch', { set: { done: true } }),
      one.op('t9', 'put', { set: task }),
    )
    const [delta] = await two.pull()
    expect(delta).toMatchObject({ mode: 'delta', more: false })
    expect(delta!.changes['task']).toMatchObject({
      created: [{ id: 't9' }],
      updated: [{ id: 't4' }],
      deleted: [{ id: 't3', why: 'deleted' }],
    })
    expect((await two.pull())[0]!.changes).toEqual({})
  })

  test('what leaves the sight of a caller leaves the device, and what comes into it is told', async () => {
    let teams = ['1']
    await using sync = openSync({
      store: await newStore(),
      scopes: ({ principal }: Caller) =>
        principal.id === 'bob' ? teams.map((team) => `acme/team:${team}`) : ['acme/team:1', 'acme/team:2'],
    })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: task }), one.op('t2', 'put', { set: { ...task, team: '2' } }))
    await two.pull()
    expect([...two.records.values()].map(({ id }) => id)).toEqual(['t1'])
    teams = ['2']
    const [page] = await two.pull()
    expect(page).toMatchObject({
      mode: 'delta',
      dropped: [expect.any(String)],
      changes: { task: { created: [{ id: 't2' }] } },
    })
    expect([...two.records.values()].map(({ id }) => id)).toEqual(['t2'])
    expect((await two.pull())[0]!.dropped).toBeUndefined()
  })

  test('a pull that waits hears of the first change, and of its end', async () => {
    await using sync = openSync({ store: await newStore() })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await two.pull()
    const waiting = sync.pull(bob, { v: 1, cursor: two.cursor, waitMs: 25_000 })
    await one.push(one.op('t1', 'put', { set: task }))
    expect((await waiting).changes['task']!.created).toMatchObject([{ id: 't1' }])
    const ended = await sync.pull(bob, { v: 1, cursor: (await waiting).cursor, waitMs: 20 })
    expect(ended.changes).toEqual({})
    const gone = new AbortController()
    const leaving = sync.pull(bob, { v: 1, cursor: ended.cursor, waitMs: 25_000 }, { signal: gone.signal })
    gone.abort()
    expect((await leaving).changes).toEqual({})
  })

  test('writes of the server win, also over strict fields, and reach devices', async () => {
    await using sync = openSync({ store: await newStore() })
    const one = openDevice(sync, ann, 'd1')
    await one.push(one.op('t1', 'put', { set: { ...task, budget: 1 } }))
    const { stamps } = await sync.write([
      { c: 'task', x: { t: 'patch', id: 't1', set: { budget: 5 } }, scope: 'acme/team:1' },
    ])
    expect(stamps).toEqual([expect.stringMatching(/^[0-9a-z]{9}-/)])
    await one.pull()
    expect(one.doc('t1')).toEqual({ ...task, budget: 5 })
    await expect(
      sync.write([{ c: 'task', x: { t: 'patch', id: 't1', set: { color: 5 } }, scope: 'acme/team:1' }]),
    ).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
  })

  test('what is erased is gone, and comes back by nobody', async () => {
    await using sync = openSync({ store: await newStore(), task: { subject: ({ title }: { title: string }) => title } })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: task }), one.op('t2', 'put', { set: { ...task, title: 'other' } }))
    await two.pull()
    expect(await all(sync.exportSubject('acme/team:1', 'Call'))).toMatchObject([{ id: 't1', c: 'task' }])
    expect(await sync.eraseSubject('acme/team:1', 'Call')).toEqual({ records: 1, clients: ['d1'] })
    expect((await two.pull())[0]!.changes['task']!.deleted).toMatchObject([{ id: 't1', why: 'erased' }])
    expect(await one.push(one.op('t1', 'put', { set: task }))).toMatchObject([{ status: 'conflict', code: 'gone' }])
    expect(await all(sync.exportSubject('acme/team:1', 'Call'))).toEqual([])
  })

  test('a new era lets every device start over', async () => {
    await using sync = openSync({ store: await newStore() })
    const one = openDevice(sync, ann, 'd1')
    await one.push(one.op('t1', 'put', { set: task }))
    await one.pull()
    await sync.rebase()
    await expect(sync.pull(ann, { v: 1, cursor: one.cursor })).rejects.toMatchObject({ code: 'EPOCH_CHANGED' })
    expect((await sync.pull(ann, { v: 1, cursor: null })).changes['task']!.created).toMatchObject([{ id: 't1' }])
  })

  const key = Buffer.alloc(32, 1)

  test.each([[undefined], [key]])('a cursor of somebody else is refused: %#', async (cursorKey) => {
    await using sync = openSync({ store: await newStore(), ...(cursorKey === undefined ? {} : { cursorKey }) })
    await using other = openSync({ store: await newStore(), cursorKey: Buffer.alloc(32, 2) })
    const one = openDevice(sync, ann, 'd1')
    await one.push(one.op('t1', 'put', { set: task }))
    await one.pull()
    const foreign = (await other.pull(ann, { v: 1, cursor: null })).cursor
    const inJson = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const wrong = [
      one.cursor!.slice(0, -4),
      `${one.cursor}AAAA`,
      foreign,
      '',
      'x',
      "'; drop table x; --",
      inJson([1, "'; drop table x", [], null, 1]),
      inJson([1, null, [], null, 1, "1' or 1", [], "')"]),
      inJson([2, null, [], null, 1]),
      inJson({}),
      7,
      {},
    ]
    for (const cursor of wrong) {
      await expect(sync.pull(ann, { v: 1, cursor: cursor as string }), JSON.stringify(cursor)).rejects.toMatchObject({
        code: 'CURSOR_INVALID',
      })
    }
    await expect(sync.pull(ann, { v: 1, cursor: one.cursor, collections: ['task'] })).rejects.toMatchObject({
      code: 'CURSOR_INVALID',
    })
  })

  test.each([
    [{ v: 3, cursor: null }, 'VERSION_UNSUPPORTED'],
    [{ v: 1 }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, limit: 0 }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, limit: -1 }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, limit: Number.NaN }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, waitMs: -1 }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, collections: ['nothing'] }, 'REQUEST_INVALID'],
    [{ v: 1, cursor: null, client: 'a b' }, 'REQUEST_INVALID'],
  ])('a pull that is none is refused: %#', async (request, code) => {
    await using sync = openSync({ store: await newStore() })
    await expect(sync.pull(ann, request as never)).rejects.toMatchObject({ code })
  })
})
