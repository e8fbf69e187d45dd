import { afterAll, describe, expect, test } from 'vitest'
import { servers } from './open-postgres.ts'
import { aChange, aDelete, aDevice, aScope, pageOf, pullAll } from './steps.ts'

describe.each(Object.entries(servers))('%s', (_, open) => {
  const opening = open()
  afterAll(async () => (await opening)[Symbol.asyncDispose]())

  test('pages of one transaction, over several scopes, tell each row once and end at their target', async () => {
    const { store } = await opening
    const scopes = [aScope(), aScope()]
    // Equal versions, collections and ids: the scope alone tells rows apart.
    await store.change(
      ['a', 'b', 'c', 'd', 'e'].flatMap((id) => scopes.map((scope) => aChange(scope, id))),
      'n1',
    )
    for (const limit of [1, 2, 3, 4, 9, 10, 100]) {
      const device = aDevice()
      let writes = 0
      const told = await pullAll(store, device, scopes, limit, () =>
        store.change([aChange(scopes[0]!, `x${++writes}`)], 'n1'),
      )
      expect(told).toEqual(['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd', 'e', 'e'])
      expect((await pullAll(store, device, scopes)).toSorted()).toEqual(
        Array.from({ length: writes }, (_, i) => `x${i + 1}`).toSorted(),
      )
      await store.change(
        Array.from({ length: writes }, (_, i) => aDelete(scopes[0]!, `x${i + 1}`)),
        'n1',
      )
      expect((await pullAll(store, device, scopes, 1)).length).toBe(writes)
      expect(device.rows.size).toBe(10)
    }
  })

  test('of what a device never had no tombstone is told, and a scope that is new comes as a whole', async () => {
    const { store } = await opening
    const [one, other] = [aScope(), aScope()]
    await store.change([aChange(one, 'a'), aChange(other, 'b'), aChange(other, 'c')], 'n1')
    await store.change([aDelete(other, 'c')], 'n1')
    const { target, rows } = await pageOf(store, { scopes: [{ name: one, isKnown: false }] })
    expect(rows.map(({ id }) => id)).toEqual(['a'])
    await store.change([aChange(one, 'd')], 'n1')
    await store.change([aDelete(one, 'd'), aDelete(one, 'a')], 'n1')
    const scopes = [
      { name: one, isKnown: true },
      { name: other, isKnown: false },
    ]
    const more = await pageOf(store, { scopes, floor: target })
    expect(more.rows.map(({ id, gone, isNew }) => [id, gone, isNew])).toEqual([
      ['b', undefined, true],
      ['a', 'deleted', false],
    ])
    expect((await pageOf(store, { scopes, floor: target, collections: ['other'] })).rows).toEqual([])
  })

  test('what no server wrote is no cursor, and never an error of SQL', async () => {
    const { store } = await opening
    const scopes = [{ name: aScope(), isKnown: true }]
    const { target } = await pageOf(store, { scopes })
    const malformed = [
      '',
      'x',
      '1:0:0:',
      '1:5:4:',
      '1:5:9:5,5',
      '1:5:9:7',
      '1:5:9:9',
      `${'9'.repeat(30)}:1:1:`,
      "1:1:1:'",
      '1:1:1',
    ]
    for (const text of malformed) {
      await expect(store.pull({ scopes, collections: null, floor: text, limit: 1 })).rejects.toMatchObject({
        code: 'CURSOR_INVALID',
      })
      await expect(
        store.pull({ scopes, collections: null, floor: null, target: text, limit: 1 }),
      ).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
      await expect(store.changed(text, ['a'])).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
    }
    for (const after of ['', '1 task a', 'x task a s', '1 task a s\0', "1 ta'sk a s", `${'9'.repeat(40)} task a s`]) {
      await expect(
        store.pull({ scopes, collections: null, floor: null, target, after, limit: 1 }),
      ).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
    }
  })

  test('values come back as they were', async () => {
    const { store } = await opening
    const scope = aScope()
    const set = {
      n: -1.5e-7,
      big: 1e21,
      text: 'a"\\\n\u2028😀',
      list: [null, { b: 1, a: [] }],
      no: false,
      nothing: null,
    }
    await store.change([aChange(scope, 'a', set)], 'n1')
    const { rows } = await pageOf(store, { scopes: [{ name: scope, isKnown: false }] })
    const values = Object.entries(rows[0]!.state.registers).map(([field, register]) => [field, register[0]])
    expect(Object.fromEntries(values)).toEqual(set)
  })

  test('which scopes have changed is told, once', async () => {
    const { store } = await opening
    const scopes = [aScope(), aScope(), aScope()]
    const first = await store.changed(null, scopes)
    expect(first.scopes).toEqual([])
    await store.change([aChange(scopes[0]!, 'a'), aChange(scopes[2]!, 'a')], 'n1')
    const second = await store.changed(first.token, scopes)
    expect(second.scopes).toEqual([scopes[0], scopes[2]])
    expect((await store.changed(second.token, scopes)).scopes).toEqual([])
  })
})
