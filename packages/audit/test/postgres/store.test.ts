import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uuidv7 } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { servers, type OpenStore } from './open-postgres.ts'
import { aRow, fold, sealAll, sealedIds, sealOnce, someRows } from './steps.ts'

describe.each(Object.keys(servers))('on %s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await servers[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  test('what is appended is sealed in its order, and read, found and searched as it was', async () => {
    const { store } = opened
    const rows = someRows(700, (n) => ({
      scope: n % 2 ? 'a' : 'b',
      actorId: `u_${n % 10}`,
      targetType: 'doc',
      targetId: n % 3 ? `d\n\\\0${n % 7}` : null,
      action: n % 5 ? 'doc.read' : 'doc.share.link',
      outcome: n % 50 ? 'success' : 'failure',
      correlationId: `c\t${n}`,
      atMs: 1_700_000_000_000 + n,
      refs: n % 100 ? [] : [`r_${n}`, 'r\t_all'],
    }))
    for (let i = 0; i < rows.length; i += 70) await store.append('order', rows.slice(i, i + 70))
    const mark = await store.mark('order')
    expect(await store.isSealed('order', mark)).toBe(false)
    expect((await store.inspect('order')).unsealed).toBe(700)
    expect(await sealOnce(store, 'order', 200)).toBe(200)
    expect(await store.isSealed('order', mark)).toBe(false)
    expect(await sealOnce(store, 'order', 600)).toBe(500)
    expect(await sealOnce(store, 'order', 600)).toBe(0)
    expect(await store.isSealed('order', mark)).toBe(true)
    expect(await sealedIds(store, 'order')).toEqual(rows.map(({ id }) => id))

    const expected = fold(rows, { size: 0, frontier: new Uint8Array(0) })
    const all = await store.read('order', 0, { entries: 1_000, bytes: 1e9 })
    expect(all.map(({ leaf }) => leaf)).toEqual(expected.leaves)
    expect(all.every(({ bytes }, i) => Buffer.compare(bytes!, rows[i]!.bytes) === 0)).toBe(true)
    expect((await store.read('order', 5, { entries: 10, bytes: 1 })).map(({ leaf }) => leaf.index)).toEqual([5])
    const bytes = rows[5]!.bytes.byteLength + rows[6]!.bytes.byteLength
    expect((await store.read('order', 5, { entries: 10, bytes })).map(({ leaf }) => leaf.index)).toEqual([5, 6])
    expect((await store.find('order', rows[42]!.id))!.leaf.index).toBe(42)
    expect(await store.find('order', uuidv7())).toBe(null)
    expect(await store.find('main', rows[42]!.id)).toBe(null)
    const tiles = await store.tiles('order', [
      { level: 0, index: 2 },
      { level: 1, index: 0 },
      { level: 0, index: 0 },
    ])
    expect(tiles.map((tile) => tile?.byteLength)).toEqual([(700 - 512) * 32, undefined, 256 * 32])

    const { leaves } = expected
    const found = async (q: Partial<Parameters<typeof store.search>[1]>): Promise<number[]> =>
      (await store.search('order', { scope: null, order: 'asc', limit: 1_000, ...q })).map(({ leaf }) => leaf.index)
    const where = (is: (leaf: (typeof leaves)[number]) => boolean): number[] =>
      leaves.filter(is).map(({ index }) => index)
    expect(await found({})).toEqual(where(() => true))
    expect(await found({ order: 'desc', limit: 2 })).toEqual([699, 698])
    expect(await found({ order: 'desc', limit: 2, after: 10 })).toEqual([9, 8])
    expect(await found({ limit: 2, after: 10 })).toEqual([11, 12])
    expect(await found({ scope: 'a' })).toEqual(where(({ scope }) => scope === 'a'))
    expect(await found({ scope: 'c' })).toEqual([])
    expect(await found({ actor: { type: 'user' } })).toEqual(where(() => true))
    expect(await found({ actor: { type: 'user', id: 'u_3' } })).toEqual(where(({ actorId }) => actorId === 'u_3'))
    expect(await found({ actor: { type: 'bot', id: 'u_3' } })).toEqual([])
    expect(await found({ action: 'doc.read' })).toEqual(where(({ action }) => action === 'doc.read'))
    expect(await found({ actionPrefix: 'doc.' })).toEqual(where(() => true))
    for (const actionPrefix of ['doc.share.', 'doc.sh', 'd']) {
      expect(await found({ actionPrefix })).toEqual(where(({ action }) => action.startsWith(actionPrefix)))
    }
    const target = { type: 'doc', id: 'd\n\\\x002' }
    expect(await found({ target })).toEqual(where(({ targetId }) => targetId === target.id))
    expect(await found({ outcome: 'failure' })).toEqual(where(({ outcome }) => outcome === 'failure'))
    expect(await found({ outcome: 'success', scope: 'a' })).toEqual(
      where(({ outcome, scope }) => outcome === 'success' && scope === 'a'),
    )
    expect(await found({ correlationId: 'c\t77' })).toEqual([77])
    expect(await found({ ref: 'r_300' })).toEqual([300])
    expect(await found({ ref: 'r\t_all', scope: 'b' })).toEqual([0, 100, 200, 300, 400, 500, 600])
    const [fromMs, toMs] = [1_700_000_000_100, 1_700_000_000_103]
    expect(await found({ fromMs, toMs })).toEqual([100, 101, 102])
    expect(await found({ toMs })).toEqual(where(({ index }) => index < 103))
    expect(await found({ fromMs: 1_800_000_000_000 })).toEqual([])
  })

  test('a known entry counts once; under its id nothing else is taken, and with it none of the others', async () => {
    const { store, db } = opened
    const [first, second, third] = [aRow(), aRow(), aRow()]
    await store.append('known', [first])
    await store.append('known', [first])
    await store.append('known', [second, first, second])
    const forged = aRow({ note: 'other' }, first.id)
    await expect(store.append('known', [forged])).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    await expect(store.append('known', [third, forged])).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    await expect(store.append('elsewhere', [first])).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    const twice = aRow()
    const both = [twice, aRow({ note: 'other' }, twice.id)]
    await expect(store.append('known', both)).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    await sealAll(store, 'known')
    await store.append('known', [first, third])
    await sealAll(store, 'known')
    expect(await sealedIds(store, 'known')).toEqual([first.id, second.id, third.id])

    // In the caller's transaction an entry of its own is refused without breaking that; several are taken or none.
    const fourth = aRow()
    await transact(db, async (tx) => {
      await expect(store.append('known', [forged], tx)).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
      await store.append('known', [fourth], tx)
      return { value: undefined }
    })
    const broken = transact(db, async (tx) => {
      await store.append('known', [aRow(), forged], tx)
      return { value: undefined }
    })
    await expect(broken).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    await sealAll(store, 'known')
    expect((await sealedIds(store, 'known')).slice(3)).toEqual([fourth.id])
  })

  test('an entry is there when its transaction commits, and nothing of it when that rolls back', async () => {
    const { store, db, query, schema } = opened
    const key = { scope: 'a', ref: 'r_1', wrapped: new Uint8Array([1, 2, 3]) }
    const [kept, lost, effect] = [aRow(), { ...aRow(), keys: [key] }, { ...aRow(), keys: [key] }]
    await transact(db, async (tx) => {
      await store.append('tx', [kept], tx)
      return {
        value: undefined,
        effects: [{ kind: 'audit.entry', statements: () => store.statements!('tx', [effect]) }],
      }
    })
    await expect(
      transact(db, async (tx) => {
        await store.append('tx', [lost], tx)
        throw new Error('the order is off')
      }),
    ).rejects.toThrow('the order is off')
    await expect(
      transact(db, async () => {
        const forged = aRow({ note: 'other' }, kept.id)
        return {
          value: undefined,
          effects: [{ kind: 'audit.entry', statements: () => store.statements!('tx', [aRow(), forged]) }],
        }
      }),
    ).rejects.toMatchObject({ code: 'KEA01' })
    await sealAll(store, 'tx')
    expect(await sealedIds(store, 'tx')).toEqual([kept.id, effect.id])
    const { rows } = await query(`select entry from ${schema}.audit_key where log = 'tx'`)
    expect(rows).toEqual([{ entry: effect.id }])
  })

  test('ten thousand entries of one transaction are a few statements', async () => {
    const { store, db } = opened
    const rows = someRows(10_000)
    const statements = store.statements!('many', rows)
    expect(statements.length).toBe(2)
    const big = someRows(40).map((row) => ({ ...row, bytes: new Uint8Array(1024 * 1024).fill(32) }))
    expect(store.statements!('many', big).length).toBe(5)
    await transact(db, async () => {
      return { value: undefined, effects: [{ kind: 'audit.entry', statements: () => statements }] }
    })
    expect(await sealAll(store, 'many', 100_000)).toBe(10_000)
    expect(await sealedIds(store, 'many')).toEqual(rows.map(({ id }) => id))
  })

  test('keys are had by entry and destroyed by person', async () => {
    const { store } = opened
    const key = (scope: string, ref: string) => ({ scope, ref, wrapped: Buffer.from(`${scope}${ref}`) })
    const rows = [
      { ...aRow(), keys: [key('a', 'r_1'), key('a', 'r_2')] },
      { ...aRow(), keys: [key('b', 'r_1')] },
      { ...aRow(), keys: [key('a', 'r_1')] },
      aRow(),
    ]
    await store.append('keys', rows.slice(0, 1))
    await store.append('keys', rows)
    const ids = rows.map(({ id }) => id)
    const had = async (): Promise<string[]> =>
      (await store.keys('keys', ids)).map(
        (k) => `${ids.indexOf(k.entry)} ${k.scope} ${k.ref} ${Buffer.from(k.wrapped)}`,
      )
    expect((await had()).toSorted()).toEqual(['0 a r_1 ar_1', '0 a r_2 ar_2', '1 b r_1 br_1', '2 a r_1 ar_1'])
    expect(await store.destroyKeys('keys', 'a', 'r_1')).toBe(2)
    expect(await store.destroyKeys('keys', 'a', 'r_1')).toBe(0)
    // Who tells an entry again does not bring its keys back.
    await store.append('keys', rows)
    await store.append('keys', rows.slice(0, 1))
    expect((await had()).toSorted()).toEqual(['0 a r_2 ar_2', '1 b r_1 br_1'])
  })

  test('cursors are had by one owner, by the clock of the server', async () => {
    const { store, at } = opened
    const nowMs = Date.now()
    await at(nowMs)
    const first = (await store.claim('main', 'siem', 'a', 1_000))!
    expect(first).toMatchObject({ at: 0, state: null })
    expect(await store.claim('main', 'siem', 'b', 1_000)).toBe(null)
    expect(await store.advance('main', 'siem', first.fence, 10, 1_000, 'x\0')).toBe(true)
    expect(await store.advance('main', 'siem', first.fence, 5, 1_000, 'y')).toBe(false)
    await at(nowMs + 999)
    expect(await store.claim('main', 'siem', 'b', 1_000)).toBe(null)
    await at(nowMs + 1_000)
    const second = (await store.claim('main', 'siem', 'b', 1_000))!
    expect(second).toMatchObject({ at: 10, state: 'x\0' })
    expect(second.fence).toBeGreaterThan(first.fence)
    expect(await store.advance('main', 'siem', first.fence, 11, 1_000)).toBe(false)
    await store.release('main', 'siem', first.fence)
    expect(await store.claim('main', 'siem', 'a', 1_000)).toBe(null)
    await store.release('main', 'siem', second.fence)
    const third = (await store.claim('main', 'siem', 'a', 1_000))!
    expect(await store.advance('main', 'siem', third.fence, 12, 1_000, null)).toBe(true)
    expect((await store.inspect('main')).cursors).toEqual({ siem: 12 })
    const again = (await store.claim('main', 'siem', 'a', 1_000))!
    expect(again).toMatchObject({ at: 12, state: null })
    const races = await Promise.all(Array.from({ length: 8 }, (_, n) => store.claim('main', 'other', `n_${n}`, 60_000)))
    expect(races.filter((won) => won !== null).length).toBe(1)
  })

  test('dead letters wait for their replay, and go', async () => {
    const { deadLetters } = opened.store
    const row = (sink: string, index: number, reason = 'no') => ({ sink, index, id: uuidv7(), reason, atMs: 5 })
    const rows = [row('b', 1), row('a', 10), row('a', 2), row('b', 3)]
    await deadLetters.bury('main', rows)
    await deadLetters.bury('main', [row('b', 1, 'never\n')])
    const list = async (q: Partial<Parameters<typeof deadLetters.list>[1]> = {}): Promise<string[]> =>
      (await deadLetters.list('main', { limit: 10, ...q })).map((d) => `${d.sink}${d.index} ${d.reason}`)
    expect(await list()).toEqual(['a2 no', 'a10 no', 'b1 never\n', 'b3 no'])
    expect(await list({ after: { sink: 'a', index: 10 }, limit: 1 })).toEqual(['b1 never\n'])
    expect(await list({ sink: 'a' })).toEqual(['a2 no', 'a10 no'])
    expect(await deadLetters.unbury('main', { ids: [rows[1]!.id] })).toBe(1)
    expect(await deadLetters.unbury('main', { sink: 'a' })).toBe(1)
    expect(await deadLetters.unbury('main', { sink: 'a' })).toBe(0)
    expect(await list({ again: true })).toEqual(['a2 no', 'a10 no'])
    await deadLetters.bury('main', [row('a', 2, 'again')])
    expect(await list({ again: true })).toEqual(['a10 no'])
    expect(await deadLetters.remove('main', { sink: 'b', ids: rows.map(({ id }) => id) })).toBe(2)
    expect(await deadLetters.count('main')).toEqual({ a: 2 })
  })

  test('checkpoints and holds are kept', async () => {
    const { store } = opened
    for (const size of [5, 1, 9]) await store.publish('main', { size, note: `n${size}` })
    await store.publish('main', { size: 9, note: 'by another key' })
    expect(await store.checkpoints('main', { last: true })).toEqual([{ size: 9, note: 'by another key' }])
    expect((await store.checkpoints('main', { from: 2, limit: 1 })).map(({ size }) => size)).toEqual([5])
    const hold = { id: uuidv7(), scope: 'a', reason: 'a case\0', atMs: 7 }
    await store.hold('main', hold)
    expect(await store.holds('main')).toEqual([hold])
    expect(await store.unhold('main', hold.id)).toBe(true)
    expect(await store.unhold('main', hold.id)).toBe(false)
    expect(await store.holds('main')).toEqual([])
  })
})
