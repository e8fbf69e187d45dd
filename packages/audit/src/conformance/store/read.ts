import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import type { SealedRow, Search } from '../../store.ts'
import { personal } from '../../entry/personal.ts'
import { listed, LOOKALIKES, onStage } from '../stage.ts'

const PERSON = { scope: 'acme', ref: 'r_1' }

export const readCases: readonly Case<StoreUnderTest>[] = [
  onStage('reading stops at either bound, and gives one at least', async ({ store, log, sealed, equal }) => {
    const [row] = await sealed({}, {}, {}, {})
    const indexes = async (from: number, entries: number, bytes: number) =>
      (await store.read(log, from, { entries, bytes })).map(({ leaf }) => leaf.index)
    equal(await indexes(1, 2, 1_000_000), [1, 2])
    equal(await indexes(0, 10, row!.bytes.length * 2 + 10), [0, 1])
    equal(await indexes(2, 10, 1), [2])
    equal(await indexes(4, 10, 1_000), [])
  }),

  onStage('only what is sealed is found', async ({ store, log, append, sealed, row, equal }) => {
    const [known] = await sealed({ data: { n: 1 } })
    const [later] = await append({})
    const found = await store.find(log, known!.id)
    equal([found?.leaf.index, Buffer.from(found!.bytes!).toString()], [0, Buffer.from(known!.bytes).toString()])
    equal(await store.find(log, later!.id), null)
    equal(await store.find(log, row().id), null)
    equal((await store.search(log, { scope: null, order: 'asc', limit: 10 })).length, 1)
  }),

  onStage('a leaf has all that its entry is found by', async ({ sealed, read, equal }) => {
    await sealed({
      action: 'parcel.create',
      actor: { type: 'service', id: 's_1' },
      target: { type: 'parcel', id: 'p_1' },
      outcome: 'failure',
      at: 1_700_000_000_123,
    })
    const { leaf } = (await read())[0]!
    const { id: _, ...facts } = leaf
    equal(facts, {
      index: 0,
      atMs: 1_700_000_000_123,
      scope: 'acme',
      actorType: 'service',
      actorId: 's_1',
      action: 'parcel.create',
      targetType: 'parcel',
      targetId: 'p_1',
      outcome: 'failure',
      correlationId: null,
      refs: [],
    })
  }),

  onStage('what is found, by its id or by a search, is what is read', async (stage) => {
    const { store, log, row, sealed, read, equal } = stage
    const target = { type: 'parcel', id: 'p_1' }
    const one = row({ target, outcome: 'failure', data: { to: personal('ann', 'Ann') } }, { correlationId: 'c-1' })
    await sealed({}, one)
    const told = (found: SealedRow | null | undefined) => found && { ...found.leaf, bytes: listed(found.bytes) }
    const expected = told((await read(1))[0])
    equal(told(await store.find(log, one.id)), expected)
    equal((await store.search(log, { scope: null, order: 'asc', after: 0, limit: 10 })).map(told), [expected])
  }),

  onStage('a search finds what fits all that it names', async ({ sealed, found, equal }) => {
    await sealed(
      { action: 'user.update', target: { type: 'user', id: 'u_9' }, at: 1_000 },
      { action: 'user.role.update', actor: { type: 'user', id: 'u_2' }, at: 2_000 },
      { action: 'users.update', scope: 'other', outcome: 'failure', at: 3_000 },
      { action: 'user_x', target: { type: 'parcel', id: 'u_9' }, at: 4_000 },
    )
    const queries: readonly (readonly [Partial<Search>, number[]])[] = [
      [{}, [0, 1, 2, 3]],
      [{ scope: 'acme' }, [0, 1, 3]],
      [{ scope: 'acm' }, []],
      [{ action: 'user.update' }, [0]],
      [{ actionPrefix: 'user.' }, [0, 1]],
      [{ actionPrefix: 'user_' }, [3]],
      [{ actionPrefix: '%' }, []],
      [{ actor: { type: 'user' } }, [0, 1, 2, 3]],
      [{ actor: { type: 'user', id: 'u_2' } }, [1]],
      [{ actor: { type: 'service', id: 'u_2' } }, []],
      [{ target: { type: 'user' } }, [0]],
      [{ target: { type: 'parcel', id: 'u_9' } }, [3]],
      [{ outcome: 'failure' }, [2]],
      [{ fromMs: 2_000 }, [1, 2, 3]],
      [{ toMs: 2_000 }, [0]],
      [{ fromMs: 2_000, toMs: 3_001, scope: 'acme' }, [1]],
      [{ correlationId: 'c-1' }, []],
      [{ ref: 'r_1' }, []],
    ]
    for (const [q, indexes] of queries) equal(await found(q), indexes, JSON.stringify(q))
  }),

  onStage('a search finds all that is about a person, and all of a request', async (stage) => {
    const { row, sealed, read, found, equal } = stage
    const mail = (subject: string) => personal(subject, `${subject}@acme.example`)
    const both = row({ data: { to: mail('ann'), cc: mail('bob') } }, { correlationId: 'c-1' })
    const [ann, bob] = both.keys.map(({ ref }) => ref) as [string, string]
    await sealed(
      both,
      row({ data: { to: mail('eve') } }, { correlationId: 'c-2' }),
      row({ data: { to: mail('bob') } }, { correlationId: 'c-1' }),
      row(),
    )
    const queries: readonly (readonly [Partial<Search>, number[]])[] = [
      [{ ref: ann }, [0]],
      [{ ref: bob }, [0, 2]],
      [{ ref: bob, scope: 'other' }, []],
      [{ ref: bob, order: 'desc', limit: 1 }, [2]],
      [{ correlationId: 'c-1' }, [0, 2]],
      [{ correlationId: 'c-1', ref: ann }, [0]],
      [{ correlationId: 'c-2', ref: ann }, []],
    ]
    for (const [q, indexes] of queries) equal(await found(q), indexes, JSON.stringify(q))
    const leaves = (await read()).map(({ leaf }) => leaf)
    equal(leaves[0]!.refs.toSorted(), [ann, bob].toSorted())
    equal(
      leaves.map(({ correlationId }) => correlationId),
      ['c-1', 'c-2', 'c-1', null],
    )
  }),

  onStage('names that only look alike are apart', async ({ store, log, row, sealed, found, equal }) => {
    const rows = LOOKALIKES.map((name) =>
      row(
        { scope: name, actor: { type: 'user', id: name }, target: { type: 'city', id: name } },
        { correlationId: name, keys: [{ scope: name, ref: 'r_1', wrapped: Buffer.from([1]) }] },
      ),
    )
    await sealed(...rows)
    for (const [i, name] of LOOKALIKES.entries()) {
      const queries: readonly Partial<Search>[] = [
        { scope: name },
        { actor: { type: 'user', id: name } },
        { target: { type: 'city', id: name } },
        { correlationId: name },
      ]
      for (const q of queries) equal(await found(q), [i], JSON.stringify(q))
      equal(await store.destroyKeys(log, name, 'r_1'), 1, `keys of ${JSON.stringify(name)}`)
    }
    await sealed({ action: 'user.update' }, { action: 'User.Update' }, { actor: { type: 'User', id: 'u_1' } })
    const behind = LOOKALIKES.length - 1
    equal(await found({ action: 'User.Update', after: behind }), [behind + 2])
    equal(await found({ actionPrefix: 'User.', after: behind }), [behind + 2])
    equal(await found({ actor: { type: 'User' }, after: behind }), [behind + 3])
  }),

  onStage('a search goes either way, in pages', async ({ sealed, found, equal }) => {
    await sealed({}, { scope: 'other' }, {}, {})
    equal(await found({ scope: 'acme', limit: 2 }), [0, 2])
    equal(await found({ scope: 'acme', limit: 2, after: 2 }), [3])
    equal(await found({ scope: 'acme', order: 'desc', limit: 2 }), [3, 2])
    equal(await found({ scope: 'acme', order: 'desc', limit: 2, after: 2 }), [0])
    equal(await found({ scope: 'acme', order: 'desc', after: 0 }), [])
  }),

  onStage('checkpoints come by size; one of the same size takes its place', async ({ store, peer, log, equal }) => {
    equal(await store.checkpoints(log, { last: true }), [])
    await store.publish(log, { size: 5, note: 'five' })
    await store.publish(log, { size: 7, note: 'seven' })
    await store.publish(log, { size: 9, note: 'nine' })
    await peer.publish(log, { size: 9, note: 'nine again' })
    equal(await store.checkpoints(log, { last: true }), [{ size: 9, note: 'nine again' }])
    const sizes = async (from: number, limit: number) =>
      (await store.checkpoints(log, { from, limit })).map(({ size }) => size)
    equal(await sizes(0, 10), [5, 7, 9])
    equal(await sizes(6, 1), [7])
    equal(await sizes(10, 10), [])
  }),

  onStage('the keys of a person are there with the entry, and can be destroyed', async (stage) => {
    const { store, peer, log, row, append, equal } = stage
    const wrapped = (n: number): Uint8Array => Buffer.from([n, n, n])
    const both = [
      { ...PERSON, wrapped: wrapped(1) },
      { scope: 'acme', ref: 'r_2', wrapped: wrapped(2) },
    ]
    const one = row({}, { keys: both })
    const two = row({ scope: 'other' }, { keys: [{ scope: 'other', ref: 'r_1', wrapped: wrapped(3) }] })
    const three = row({}, { keys: [{ ...PERSON, wrapped: wrapped(4) }] })
    await append(one, two, three)
    const entries = [one.id, two.id, three.id]
    const left = async (from: typeof store) =>
      (await from.keys(log, entries))
        .map(({ entry, scope, ref, wrapped: bytes }) => [entries.indexOf(entry), scope, ref, [...bytes][0]].join())
        .toSorted()
    equal(await left(store), ['0,acme,r_1,1', '0,acme,r_2,2', '1,other,r_1,3', '2,acme,r_1,4'])
    equal((await store.keys(log, [two.id])).length, 1)
    equal(await store.destroyKeys(log, 'acme', 'r_1'), 2)
    equal(await left(peer), ['0,acme,r_2,2', '1,other,r_1,3'])
    equal(await store.destroyKeys(log, 'acme', 'r_1'), 0)
  }),

  onStage('a key that was destroyed does not come back with its entry', async ({ store, log, row, append, equal }) => {
    const one = row({}, { keys: [{ ...PERSON, wrapped: Buffer.from([1]) }] })
    await append(one)
    await store.destroyKeys(log, 'acme', 'r_1')
    await store.append(log, [one])
    equal(await store.keys(log, [one.id]), [])
  }),
]
