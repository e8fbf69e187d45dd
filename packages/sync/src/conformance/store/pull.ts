import type { Case } from '@keelson/kernel/conformance'
import { C, during, onStage, op, told, toldById } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

export const pullCases: readonly Case<StoreUnderTest>[] = [
  onStage('who has nothing gets what lives, and no tombstone', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1 } }, { t: 'put', id: 'b', set: { n: 2 } })
    await change({ t: 'delete', id: 'a' })
    const { rows } = await pull()
    equal(told(rows), [['b', { n: 2 }]])
    equal([rows[0]!.isNew, rows[0]!.gone], [true, undefined])
    equal(told((await pull({ limit: 1 })).rows), [['b', { n: 2 }]])
  }),

  onStage('a row is the record, with all that merging needs', async ({ scope, record, push, pull, equal }) => {
    const live = record('a', op('put', 1, { n: 1, gone: 2 }), { t: 'patch', h: op('patch', 5).h, unset: ['gone'] })
    const dead = record('b', op('put', 1, { n: 1 }), op('delete', 7))
    await push({ records: [record('b', op('put', 1, { n: 1 }))] })
    const { target } = await pull()
    await push({ records: [live, dead] })
    const { rows } = await pull({ floor: target })
    equal(
      rows.map(({ place: _place, isNew: _isNew, ...row }) => row),
      [live, dead],
    )
    equal(rows[0]!.scope, scope)
  }),

  onStage('from a floor on there is what was written behind it, and nothing twice', async (stage) => {
    const { change, pull, equal } = stage
    await change({ t: 'put', id: 'a', set: { n: 1 } }, { t: 'put', id: 'b', set: { n: 1 } })
    const first = await pull()
    equal((await pull({ floor: first.target })).rows, [])
    await change({ t: 'patch', id: 'a', set: { n: 2 } })
    await change({ t: 'put', id: 'c', set: { n: 3 } })
    await change({ t: 'delete', id: 'b' })
    const second = await pull({ floor: first.target })
    const expected = [
      ['a', { n: 2 }],
      ['b', 'deleted'],
      ['c', { n: 3 }],
    ]
    equal(toldById(second.rows), expected)
    equal((await pull({ floor: second.target })).rows, [])
    equal(toldById((await pull({ floor: first.target })).rows), expected, 'asked once more')
  }),

  onStage('rows come in the order of their versions', async ({ change, pull, equal }) => {
    for (const id of ['b', 'a', 'c']) await change({ t: 'put', id, set: { n: 1 } })
    await change({ t: 'patch', id: 'b', set: { n: 2 } })
    const ids = async (limit: number) => (await pull({ limit })).rows.map(({ id }) => id)
    equal(await ids(10), ['a', 'c', 'b'])
    equal(await ids(1), ['a', 'c', 'b'])
  }),

  onStage('equal versions come by the bytes of collection, id and scope', async (stage) => {
    const { scope, below, change, pull, equal } = stage
    const ids = ['~', 'a', 'B', '1', '_', ':', '-', '.', 'a.b', 'a-b', 'ab']
    const made = [scope, below].flatMap((where) =>
      [C, `${C}s`, 'b_1', 'b1'].flatMap((c) => ids.map((id) => ({ scope: where, c, id }))),
    )
    await change(...made.map((key) => ({ t: 'put' as const, ...key })))
    const { rows } = await pull({ scopes: [known(below, false), known(scope, false)], limit: 7 })
    const bytes = ({ c, id, scope }: (typeof made)[number]): string => `${c}\0${id}\0${scope}`
    equal(
      rows.map(({ scope, c, id }) => ({ scope, c, id })),
      made.toSorted((a, b) => (bytes(a) < bytes(b) ? -1 : 1)),
    )
  }),

  onStage('pages of any size tell each row once, also of one version', async (stage) => {
    const { change, pull, equal } = stage
    const ids = Array.from({ length: 6 }, (_, i) => `r${i}`)
    await change(...ids.map((id) => ({ t: 'put' as const, id, set: { n: 1 } })))
    await change(...ids.slice(3).map((id) => ({ t: 'patch' as const, id, set: { n: 2 } })))
    for (let limit = 1; limit <= 7; limit++) {
      const { rows, pages } = await pull({ limit })
      equal(
        rows.map(({ id }) => id),
        ids,
        `pages of ${limit}`,
      )
      equal(pages, Math.ceil(6 / limit), `how many of ${limit}`)
    }
  }),

  onStage('the first page bounds those behind it', async ({ change, page, pull, equal }) => {
    await change(...['a', 'b', 'c'].map((id) => ({ t: 'put' as const, id, set: { n: 1 } })))
    const first = await page({ limit: 1 })
    await change({ t: 'put', id: 'd', set: { n: 1 } }, { t: 'patch', id: 'b', set: { n: 2 } })
    const rest = await page({ limit: 5, target: first.target, after: first.rows[0]!.place })
    equal([rest.target === first.target, rest.more], [true, false])
    equal(told(rest.rows), [['c', { n: 1 }]])
    const next = await pull({ floor: rest.target })
    equal(toldById(next.rows), [
      ['b', { n: 2 }],
      ['d', { n: 1 }],
    ])
  }),

  onStage('no tombstone is told of what the device never had', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a' })
    const { target } = await pull()
    await change({ t: 'put', id: 'b' })
    await change({ t: 'delete', id: 'b' })
    await change({ t: 'delete', id: 'a' })
    equal(told((await pull({ floor: target })).rows), [['a', 'deleted']])
  }),

  onStage('who had it is told of its end, also when it lived again in between', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1 } })
    const { target } = await pull()
    await change({ t: 'delete', id: 'a' })
    await change({ t: 'put', id: 'a', set: { n: 2 } })
    await change({ t: 'delete', id: 'a' })
    equal(told((await pull({ floor: target })).rows), [['a', 'deleted']])
  }),

  onStage('what came to be behind the floor is new', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', set: { n: 1 } })
    const { target } = await pull()
    await change({ t: 'put', id: 'b' }, { t: 'patch', id: 'a', set: { n: 2 } })
    await change({ t: 'patch', id: 'b', set: { n: 3 } })
    const { rows } = await pull({ floor: target })
    equal(
      rows.map(({ id, isNew }) => [id, isNew]),
      [
        ['a', false],
        ['b', true],
      ],
    )
  }),

  onStage('a scope that is new comes whole beside what is known, without tombstones', async (stage) => {
    const { scope, below, change, pull, equal } = stage
    await change(
      { t: 'put', id: 'a', set: { n: 1 } },
      { t: 'put', id: 'b', scope: below, set: { n: 2 } },
      { t: 'put', id: 'c', scope: below },
    )
    await change({ t: 'delete', id: 'c', scope: below })
    const { target } = await pull()
    await change({ t: 'put', id: 'd', set: { n: 4 } })
    const scopes = [known(scope), known(below, false)]
    for (const limit of [1, 9]) {
      const { rows } = await pull({ floor: target, scopes, limit })
      equal(told(rows), [
        ['b', { n: 2 }],
        ['d', { n: 4 }],
      ])
      equal(
        rows.map(({ isNew }) => isNew),
        [true, true],
      )
    }
  }),

  onStage('nothing of other scopes is told, whatever they are called', async (stage) => {
    const { scope, below, change, pull, equal } = stage
    const names = [below, scope.toUpperCase(), `${scope}%`, scope.slice(0, -1)]
    await change(...names.map((name) => ({ t: 'put' as const, id: 'theirs', scope: name })))
    await change({ t: 'put', id: 'ours' })
    for (const asked of [scope, `${scope.slice(0, 10)}%`, scope.replace('-', '_')]) {
      const { rows } = await pull({ scopes: [known(asked, false)] })
      equal(told(rows), asked === scope ? [['ours', {}]] : [])
    }
    equal((await pull({ scopes: [known(scope, false), known(below, false)] })).rows.length, 2)
  }),

  onStage('of collections only those that are asked for', async ({ change, pull, equal }) => {
    await change({ t: 'put', id: 'a', c: 'task' }, { t: 'put', id: 'a', c: 'tag' }, { t: 'put', id: 'b', c: 'team' })
    const found = async (collections: readonly string[] | null, limit = 9) =>
      (await pull({ collections, limit })).rows.map(({ c, id }) => `${c} ${id}`)
    equal(await found(['task']), ['task a'])
    equal(await found(['team', 'tag'], 1), ['tag a', 'team b'])
    equal(await found([]), [])
    equal(await found(null), ['tag a', 'task a', 'team b'])
  }),

  onStage('a process sees at once what another one wrote', async ({ scope, peer, change, pull, equal }) => {
    const { target } = await pull()
    await change({ t: 'put', id: 'a', set: { n: 1 } })
    const pulled = await peer.pull({ scopes: [known(scope)], collections: null, floor: target, limit: 9 })
    equal(pulled.kind === 'page' && told(pulled.rows), [['a', { n: 1 }]])
  }),

  onStage('time is the store’s', async ({ change, page, elapse, ok }) => {
    await change({ t: 'put', id: 'a' })
    const { nowMs } = await page()
    await elapse(5)
    const later = (await page()).nowMs
    ok(later >= nowMs && later < nowMs + 3_600_000 && Number.isInteger(later))
  }),

  onStage('rows and snapshot are of one moment', async ({ change, pull, page, equal }) => {
    const ids = Array.from({ length: 40 }, (_, i) => `r${String(i).padStart(2, '0')}`)
    const write = async (): Promise<void> => {
      for (const id of ids) await change({ t: 'put', id })
    }
    const seen = new Set<string>()
    let floor: string | null = null
    await during(write(), async () => {
      const { rows, target } = await page({ floor })
      for (const { id } of rows) seen.add(id)
      floor = target
    })
    for (const { id } of (await pull({ floor })).rows) seen.add(id)
    equal([...seen].toSorted(), ids)
  }),

  onStage('a floor, target or place that it did not make is refused', async (stage) => {
    const { scope, store, change, page, rejects } = stage
    await change({ t: 'put', id: 'a' }, { t: 'put', id: 'b' })
    const { target, rows } = await page({ limit: 1 })
    const after = rows[0]!.place
    const ask = (q: { floor?: string; target?: string; after?: string }) =>
      store.pull({ scopes: [known(scope)], collections: null, floor: null, limit: 1, ...q })
    for (const wrong of ['', 'x', `${target}x`, `x${target}`, "0' or 1=1 --", '{}', '\0', '9'.repeat(40)]) {
      await rejects(ask({ floor: wrong }), 'CURSOR_INVALID')
      await rejects(ask({ target: wrong, after }), 'CURSOR_INVALID')
    }
    for (const wrong of ['', 'x', "0' or 1=1 --", '{}', '[]', '\0', '9'.repeat(40)]) {
      await rejects(ask({ target, after: wrong }), 'CURSOR_INVALID')
    }
  }),
]

const known = (name: string, isKnown = true): { name: string; isKnown: boolean } => ({ name, isKnown })
