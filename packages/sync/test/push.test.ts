import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '@keelson/kernel'
import { writePageCursor } from '@keelson/kernel/page-cursor'
import { createSync, OpRejected, type Conflict, type Op, type Win } from '@keelson/sync'
import { formatStamp } from '../src/stamp.ts'
import { ann, bob, newStores, openDevice, openSync } from './open-sync.ts'

const task = { team: '1', title: 'Call', done: false }

describe.each(Object.entries(newStores))('on %s', (_, newStore) => {
  test('an operation is applied once, and a repeat is told what it was told', async () => {
    const apply = vi.fn(async () => {})
    await using sync = openSync({ store: await newStore(), task: { apply } })
    const device = openDevice(sync, ann, 'd1')
    const op = device.op('t1', 'put', { set: task })
    const [first] = await device.push(op)
    expect(first).toEqual({ op: op.op, status: 'applied', h: op.h })
    expect(await device.push(op)).toEqual([{ ...first, replay: true }])
    // Its stamp is no part of what it does.
    expect(await device.push({ ...op, h: formatStamp({ ms: Date.now(), counter: 9, node: 'd1' }) })).toEqual([
      { ...first, replay: true },
    ])
    expect(await device.push({ ...op, set: { ...task, done: true } })).toMatchObject([
      { status: 'rejected', code: 'op-reuse' },
    ])
    expect(apply.mock.calls.length).toBe(1)
  })

  test('operations of one push see those before them, and apply hears of each', async () => {
    const wins: Win[][] = []
    await using sync = openSync({
      store: await newStore(),
      task: { apply: async (_: unknown, given: Win[]) => void wins.push(given) },
    })
    const device = openDevice(sync, ann, 'd1')
    const results = await device.push(
      device.op('t1', 'put', { set: task }),
      device.op('t1', 'patch', { set: { title: 'Call back' } }),
      device.op('t1', 'patch', { set: { title: 'Call back' } }),
      device.op('t1', 'delete'),
      device.op('t1', 'patch', { set: { done: true } }),
    )
    expect(results.map(({ status, code }) => [status, code])).toEqual([
      ['applied', undefined],
      ['applied', undefined],
      ['applied', undefined],
      ['applied', undefined],
      ['conflict', 'gone'],
    ])
    expect(wins).toHaveLength(1)
    expect(wins[0]!.map(({ t, before, after, changed }) => [t, before, after, changed])).toEqual([
      ['put', undefined, task, ['team', 'title', 'done']],
      ['patch', task, { ...task, title: 'Call back' }, ['title']],
      ['delete', { ...task, title: 'Call back' }, undefined, ['team', 'title', 'done']],
    ])
  })

  test('the later edit of a field wins, the earlier one is told what it lost, and by whom is asked for', async () => {
    const conflicts: Conflict[] = []
    await using sync = openSync({
      store: await newStore(),
      onConflict: async (_, conflict) => void conflicts.push(conflict),
    })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: task }))
    const early = one.op('t1', 'patch', { set: { title: 'early', done: true } })
    const late = two.op('t1', 'patch', { set: { title: 'late' } })
    expect(
      await two.push({ ...late, h: formatStamp({ ms: Date.now() + 1_000, counter: 0, node: 'd2' }) }),
    ).toMatchObject([{ status: 'applied' }])
    expect(await one.push(early)).toMatchObject([
      { status: 'applied', lost: ['title'], rec: { doc: { title: 'late', done: true } }, conflict: expect.any(String) },
    ])
    expect(conflicts).toMatchObject([{ code: 'superseded', principal: 'ann', client: 'd1', record: 't1', op: early }])
    const { items } = await sync.conflicts.list(ann)
    expect(items).toEqual(conflicts)
    await one.pull()
    expect(items).toMatchObject([{ scope: 'acme/team:1', s: [...one.records.values()][0]!.s }])
  })

  test('a record is where its document says, and moves with it', async () => {
    await using sync = openSync({ store: await newStore() })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: task }))
    await two.pull()
    expect(await one.push(one.op('t1', 'patch', { set: { team: '2' } }))).toMatchObject([{ status: 'applied' }])
    const [page] = await two.pull()
    expect(page!.changes['task']).toMatchObject({
      created: [{ id: 't1', doc: { ...task, team: '2' } }],
      deleted: [{ id: 't1', why: 'scope' }],
    })
    expect([...two.records.values()].map(({ doc }) => doc)).toEqual([{ ...task, team: '2' }])
    expect(await one.push(one.op('t1', 'patch', { set: { team: '3' } }))).toMatchObject([
      { status: 'conflict', code: 'scope-lost' },
    ])
    expect(await one.push(one.op('t2', 'put', { set: { ...task, team: '3' } }))).toMatchObject([
      { status: 'conflict', code: 'scope-lost' },
    ])
  })

  test('with the tag of its scope too', async () => {
    await using sync = openSync({ store: await newStore() })
    const one = openDevice(sync, ann, 'd1')
    await one.push(one.op('t1', 'put', { set: task }))
    await one.pull()
    const { s } = [...one.records.values()][0]!
    expect(await one.push(one.op('t1', 'patch', { s, set: { team: '2' } }))).toMatchObject([{ status: 'applied' }])
    expect(await one.push(one.op('t1', 'patch', { s: 'AAAAAAAAAAA', set: { done: true } }))).toMatchObject([
      { status: 'conflict', code: 'scope-lost' },
    ])
    await one.pull()
    expect([...one.records.values()].map(({ doc }) => doc)).toEqual([{ ...task, team: '2' }])
  })

  test('an operation that apply refuses fails alone', async () => {
    const apply = vi.fn(async (_: unknown, wins: readonly Win[]) => {
      const bad = wins.find(({ after }) => after?.['title'] === 'bad')
      if (bad !== undefined) throw new OpRejected(bad.op, 'closed', 'the team is closed')
    })
    await using sync = openSync({ store: await newStore(), task: { apply } })
    const device = openDevice(sync, ann, 'd1')
    const results = await device.push(
      device.op('t1', 'put', { set: task }),
      device.op('t2', 'put', { set: { ...task, title: 'bad' } }),
      device.op('t3', 'put', { set: task }),
    )
    expect(results.map(({ status, code, detail }) => [status, code, detail])).toEqual([
      ['applied', undefined, undefined],
      ['rejected', 'closed', 'the team is closed'],
      ['applied', undefined, undefined],
    ])
    await device.pull()
    expect([...device.records.values()].map(({ id }) => id).toSorted()).toEqual(['t1', 't3'])
  })

  test('what is wrong with one operation does not stop the others', async () => {
    await using sync = openSync({
      store: await newStore(),
      limits: { recordBytes: 200 },
      task: { authorize: (_: unknown, { id }: Op) => id !== 'no' || 'not yours' },
    })
    const device = openDevice(sync, ann, 'd1')
    const good = device.op('t1', 'put', { set: task })
    const future = {
      ...device.op('t2', 'put', { set: task }),
      h: formatStamp({ ms: Date.now() + 2 * 86_400_000, counter: 0, node: 'd1' }),
    }
    const given = [
      device.op('t2', 'put', { set: { ...task, color: 'red' } }),
      device.op('t2', 'put', { set: { title: 'a\u0000' } }),
      device.op('t2', 'put', { set: { budget: 2 ** 53 } }),
      device.op('no', 'put', { set: task }),
      device.op('t2', 'put', { set: { ...task, title: 'x'.repeat(200) } }),
      { ...device.op('t2', 'put', { set: task }), c: 'nothing' },
      { ...device.op('t2', 'put', { set: task }), t: 'upsert' as never },
      device.op('t2', 'put', { set: task, dep: 'never' }),
      null as never,
      good,
    ]
    const { results } = await sync.push(ann, { v: 1, client: 'd1', ops: given })
    expect(results.map(({ status, code }) => `${status} ${code}`)).toEqual([
      'rejected invalid',
      'rejected invalid',
      'rejected invalid',
      'rejected forbidden',
      'rejected too-large',
      'rejected invalid',
      'rejected invalid',
      'retry dependency',
      'rejected invalid',
      'applied undefined',
    ])
    expect(results[3]).toMatchObject({ detail: 'not yours' })
    expect((await sync.push(ann, { v: 1, client: 'd3', ops: [future] })).results).toMatchObject([
      { status: 'rejected', code: 'clock-drift' },
    ])
  })

  test('nor does one that is nested without end, is no JSON, or is about nobody who can be found again', async () => {
    const subject = ({ title }: { title?: string }) => title
    await using sync = openSync({ store: await newStore(), task: { subject } })
    const device = openDevice(sync, ann, 'phone')
    let deep: unknown = 1
    for (let i = 0; i < 50_000; i++) deep = [deep]
    const titled = (id: string, title: unknown) =>
      device.op(id, 'put', { set: { team: '1', title: title as string, done: false } })
    const results = await device.push(
      titled('deep', deep),
      titled('big', 1n),
      titled('number', 7),
      titled('nobody', null),
      titled('good', 'bob'),
    )
    expect(results).toMatchObject([
      { status: 'rejected', code: 'invalid' },
      { status: 'rejected', code: 'invalid', detail: expect.stringMatching(/bigint is no JSON/) },
      { status: 'rejected', code: 'invalid', detail: 'whom it is about must be a text (got number)' },
      { status: 'applied' },
      { status: 'applied' },
    ])
    for (const wrong of [{ v: deep }, { client: deep }, { ops: { deep } }, { sentAt: 1n }]) {
      await expect(sync.push(ann, { v: 1, client: 'phone', ops: [], ...(wrong as object) })).rejects.toMatchObject({
        name: 'SyncError',
      })
    }
    expect(await sync.eraseSubject('acme/team:1', 'bob')).toMatchObject({ records: 1 })
  })

  test('what the application says wrong is told, and nothing is done', async () => {
    await using sync = openSync({ store: await newStore(), task: { subject: () => 'bob' } })
    const device = openDevice(sync, ann, 'phone')
    await device.push(device.op('t1', 'put', { set: { team: '1', title: 'a', done: false } }))
    const scope = 'acme/team:1'
    // Each of them would have erased the whole scope.
    for (const more of [
      { c: 'task', id: undefined },
      { c: 'task' },
      { c: undefined, id: undefined },
      { c: 'task', record: 't1' },
      { subject: undefined },
      { id: 't1' },
      { c: 'task', id: 't\0' },
      { c: 'task', id: 1 },
    ]) {
      await expect(sync.forget({ scope, ...(more as object) })).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: 'forget: give { scope, c, id } for one record, or { scope } alone for all of a scope',
      })
    }
    for (const person of [undefined, null, 7] as never[]) {
      await expect(sync.eraseSubject(scope, person)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      const exported = sync.exportSubject(scope, person)[Symbol.asyncIterator]().next()
      await expect(exported).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    const op = device.op('t2', 'put', { set: { team: '1', title: 'b', done: false } })
    const request = { v: 1, client: 'other', ops: [op] } as const
    const callers = [undefined, null, {}, { principal: {} }, { principal: { id: 7 } }, { principal: { id: '' } }]
    for (const who of callers as never[]) {
      for (const call of [
        sync.push(who, request),
        sync.pull(who, { v: 1, cursor: null }),
        sync.status(who, 'phone'),
        sync.conflicts.list(who),
        sync.conflicts.resolve(who, 'x', { take: 'mine' }),
      ]) {
        await expect(call).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringMatching(/"who"/) })
      }
    }
    const change = { c: 'task', x: { t: 'put', id: 't3', set: { team: '1', title: 'c' } }, scope } as const
    for (const tx of [null, {}] as never[]) {
      await expect(sync.push(ann, request, { tx })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      await expect(sync.write([change], { tx })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    expect(await sync.trace(undefined as never)).toEqual([])
    const records = (await device.pull()).flatMap(({ changes }) => changes['task']?.created ?? [])
    expect(records.map(({ id }) => id)).toEqual(['t1'])
    expect(await sync.forget({ scope, c: 'task', id: 't1' })).toMatchObject({ records: 1 })
  })

  test('an operation waits for the one it depends on, and fails with it', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    const first = device.op('t1', 'put', { set: task })
    const second = device.op('t2', 'put', { set: task, dep: first.op })
    expect(await device.push(second)).toMatchObject([{ status: 'retry', code: 'dependency' }])
    expect(await device.push(first, second)).toMatchObject([{ status: 'applied' }, { status: 'applied' }])
    const lost = device.op('gone', 'patch', { set: { done: true } })
    expect(await device.push(lost, device.op('t3', 'put', { set: task, dep: lost.op }))).toMatchObject([
      { status: 'conflict', code: 'gone' },
      { status: 'rejected', code: 'dependency' },
    ])
  })

  test('a strict field is written by who read it', async () => {
    await using sync = openSync({ store: await newStore() })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: { ...task, budget: 1 } }))
    await one.pull()
    await two.pull()
    const base = [...one.records.values()][0]!.hs!
    expect(await one.push(one.op('t1', 'patch', { set: { budget: 2 }, base }))).toMatchObject([{ status: 'applied' }])
    expect(await two.push(two.op('t1', 'patch', { set: { budget: 3, title: 'no' }, base }))).toMatchObject([
      { status: 'conflict', code: 'stale-base', rec: { doc: { budget: 2, title: 'Call' } } },
    ])
  })

  test('who writes a strict field twice in one push has read what they wrote; nobody else has', async () => {
    await using sync = openSync({ store: await newStore() })
    const one = openDevice(sync, ann, 'd1')
    const edits = (n: number) => one.op('t1', 'patch', { set: { budget: n } })
    const first = [one.op('t1', 'put', { set: { ...task, budget: 1 } }), edits(2), edits(3)]
    expect(await one.push(...first)).toMatchObject([
      { status: 'applied' },
      { status: 'applied' },
      { status: 'applied' },
    ])
    // An answer that was lost, and an edit since: it is the same device that had it before it.
    const again = await one.push(...first, edits(4))
    expect(again.map(({ status, replay }) => [status, replay])).toEqual([
      ['applied', true],
      ['applied', true],
      ['applied', true],
      ['applied', undefined],
    ])
    expect(await one.push(edits(5))).toMatchObject([
      { status: 'conflict', code: 'stale-base', rec: { doc: { budget: 4 } } },
    ])
  })

  test('an edit follows a record that went elsewhere since, as far as its author sees', async () => {
    await using sync = openSync({ store: await newStore() })
    const [one, two] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    await one.push(one.op('t1', 'put', { set: task }))
    await one.pull()
    const { s } = [...one.records.values()][0]!
    await two.pull()
    await two.push(two.op('t1', 'patch', { set: { team: '2' } }))
    expect(await one.push(one.op('t1', 'patch', { set: { title: 'Late' }, s }))).toMatchObject([{ status: 'applied' }])
    await two.pull()
    expect([...two.records.values()].map(({ doc }) => doc)).toEqual([{ ...task, team: '2', title: 'Late' }])
    await two.push(two.op('t1', 'delete'))
    expect(await one.push(one.op('t1', 'patch', { set: { title: 'Later' }, s }))).toMatchObject([{ code: 'gone' }])
  })

  test('a client belongs to who used it first', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    await device.push(device.op('t1', 'put', { set: task }))
    await expect(sync.push(bob, { v: 1, client: 'd1', ops: [] })).rejects.toMatchObject({ code: 'CLIENT_FOREIGN' })
    expect(await sync.status(bob, 'd1')).toBeUndefined()
    expect(await sync.status(ann, 'd1')).toMatchObject({ client: 'd1', principal: 'ann', pushed: 1, openConflicts: 0 })
  })

  test('what is no name is nothing that there is', async () => {
    await using sync = openSync({ store: await newStore() })
    for (const name of ['', '\0', "d' or true --", 'x'.repeat(65)]) {
      expect(await sync.status(ann, name)).toBeUndefined()
      await expect(sync.conflicts.resolve(ann, name, { take: 'mine' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const after = writePageCursor({ status: 'open' }, name)
      await expect(sync.conflicts.list(ann, { after })).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
    }
  })

  test('a device whose stamps go back gets another name', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    const [copied, newer] = [device.op('t1', 'put', { set: task }), device.op('t2', 'put', { set: task })]
    await device.push(newer)
    expect(await device.push(copied)).toMatchObject([{ status: 'retry', code: 'new-node' }])
  })

  test('a device whose stamps run ahead is cut off, and keeps its order', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    const aheadMs = Date.now() + 3_600_000
    const ops = [5, 3, 9].map((counter, i) => {
      return { ...device.op(`t${i}`, 'put', { set: task }), h: formatStamp({ ms: aheadMs + i, counter, node: 'd1' }) }
    })
    const stamps = (await device.push(...ops)).map(({ h }) => h!)
    expect(stamps).toEqual(stamps.toSorted())
    expect(new Set(stamps).size).toBe(3)
    expect(stamps.at(-1)! < ops[0]!.h).toBe(true)
  })

  test('conflicts are decided by servers whose clocks differ, and by no device in their name', async () => {
    const store = await newStore()
    await using ahead = openSync({ store })
    await using behind = openSync({ store, clock: { ...systemClock, now: () => Date.now() - 10_000 } })
    const device = openDevice(ahead, ann, 'd1')
    const [first, second] = await device.push(
      device.op('t1', 'patch', { set: task }),
      device.op('t2', 'patch', { set: task }),
    )
    await ahead.conflicts.resolve(ann, first!.conflict!, { take: 'mine' })
    await behind.conflicts.resolve(ann, second!.conflict!, { take: 'mine' })
    await device.pull()
    expect([...device.records.values()].map(({ id }) => id).toSorted()).toEqual(['t1', 't2'])
    const inTheirName = ahead.push(ann, { v: 1, client: 'keelson resolve', ops: [] })
    await expect(inTheirName).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  })

  test('a conflict is decided once, by who may see it', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    await device.push(device.op('t1', 'put', { set: task }), device.op('t1', 'delete'))
    const [mine] = await device.push(device.op('t1', 'patch', { set: { title: 'mine', team: '1' } }))
    await expect(sync.conflicts.resolve(bob, 'nothing', { take: 'mine' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(sync.conflicts.resolve(ann, mine!.conflict!, { doc: { color: 1 } })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
    await sync.conflicts.resolve(ann, mine!.conflict!, { take: 'mine' })
    await sync.conflicts.resolve(ann, mine!.conflict!, { take: 'mine' })
    await device.pull()
    expect(device.doc('t1')).toEqual({ title: 'mine', team: '1' })
    expect((await sync.conflicts.list(ann)).items).toEqual([])
    expect((await sync.conflicts.list(ann, { status: 'resolved' })).items).toHaveLength(1)
  })

  test('a conflict of a collection that is not there any more can only be left', async () => {
    const store = await newStore()
    await using before = openSync({ store })
    const device = openDevice(before, ann, 'd1')
    const [made] = await device.push(device.op('t1', 'patch', { set: task }))
    await using sync = createSync({
      store,
      storeTimeout: '30s',
      scopes: () => ['acme/user:ann', 'acme/team:1'],
      collections: { note: { fields: { text: 'lww' }, scope: () => 'acme/team:1' } },
    })
    for (const decision of [{ take: 'mine' } as const, { doc: task }]) {
      await expect(sync.conflicts.resolve(ann, made!.conflict!, decision)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(/collection "task"/),
      })
    }
    expect((await sync.conflicts.list(ann)).items).toHaveLength(1)
    await sync.conflicts.resolve(ann, made!.conflict!, { take: 'theirs' })
    expect((await sync.conflicts.list(ann)).items).toEqual([])
  })

  test.each([
    [{ v: 2, client: 'd', ops: [] }, 'VERSION_UNSUPPORTED', /"v"/],
    [null, 'REQUEST_INVALID', /"body"/],
    [{ v: 1, client: '', ops: [] }, 'REQUEST_INVALID', /"client"/],
    [{ v: 1, client: 'd', ops: {} }, 'REQUEST_INVALID', /"ops"/],
    [{ v: 1, client: 'd', ops: Array.from({ length: 501 }, () => ({})) }, 'REQUEST_INVALID', /at most 500/],
    [{ v: 1, client: 'd', ops: [], sentAt: 'now' }, 'REQUEST_INVALID', /"sentAt"/],
    [{ v: 1, client: 'd', ops: [], schema: 2 }, 'SCHEMA_CHANGED', /start over/],
    [{ v: 1, client: 'd', ops: [], force: true }, 'REQUEST_INVALID', /"force"/],
    [{ v: 1, client: 'd', ops: [{ op: 'x', set: { title: 'x'.repeat(1_100_000) } }] }, 'BODY_TOO_LARGE', /1048576/],
  ])('a push that is none is refused as a whole: %#', async (request, code, message) => {
    await using sync = openSync({ store: await newStore() })
    await expect(sync.push(ann, request as never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })
})
