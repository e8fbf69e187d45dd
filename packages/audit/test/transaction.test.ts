import { describe, expect, test } from 'vitest'
import { database, transact } from '@keelson/kernel/postgres'
import { createAudit, generateKey, type Audit } from '../src/index.ts'
import { servers, type OpenStore } from './postgres/open-postgres.ts'

const key = generateKey('test.example/audit')
const entry = { scope: 'acme', action: 'order.create', actor: { type: 'user', id: 'u_1' } }

describe.each(Object.entries(servers))('on %s', (_, open) => {
  async function stage(): Promise<OpenStore & { readonly audit: Audit }> {
    const opened = await open()
    await opened.query('create table orders_of_test (id text primary key)')
    return { ...opened, audit: createAudit({ store: opened.store, key: key.signer, storeTimeout: '30s' }) }
  }

  async function close({ audit, query, ...opened }: Awaited<ReturnType<typeof stage>>): Promise<void> {
    await query('drop table orders_of_test')
    await audit.close()
    await opened[Symbol.asyncDispose]()
  }

  test('an entry commits with the rows, and is rolled back with them', async () => {
    const opened = await stage()
    const { audit, db } = opened
    const order = async (id: string, fails: boolean): Promise<unknown> =>
      transact(db, async (tx) => {
        await tx.query('insert into orders_of_test values ($1)', [id])
        const { id: recorded } = await audit.record({ ...entry, target: { type: 'order', id } }, { tx })
        if (fails) throw new Error(recorded)
        return { value: recorded, effects: [audit.entry({ ...entry, action: 'order.note' })] }
      })
    await order('o1', false)
    await expect(order('o2', true)).rejects.toThrow()
    await expect(order('o1', false)).rejects.toThrow()
    await audit.flush()
    const { entries } = await audit.query({ scope: 'acme', order: 'asc' })
    expect(entries.map(({ action, target }) => [action, target?.id])).toEqual([
      ['order.create', 'o1'],
      ['order.note', undefined],
    ])
    expect(await audit.verify()).toMatchObject({ ok: true, size: 2 })
    await close(opened)
  })

  test('10,000 rows with an entry each are at most 10 statements more', async () => {
    const opened = await stage()
    const { audit, db } = opened
    const effects = Array.from({ length: 10_000 }, (_, i) =>
      audit.entry({ ...entry, target: { type: 'order', id: `o${i}` } }),
    )
    const [first, ...others] = effects
    expect(first!.combine!(others, { operationId: '', now: 0 }).length).toBeLessThanOrEqual(10)
    await transact(db, async (tx) => {
      await tx.query(`insert into orders_of_test select 'o' || n from generate_series(0, 9999) as n`)
      return { value: undefined, effects }
    })
    expect(await audit.runOnce()).toEqual({ done: true })
    expect((await audit.inspect()).sealed.size).toBe(10_000)
    const { rows } = await database(db).query('select count(*)::int as n from orders_of_test')
    expect(rows).toEqual([{ n: 10_000 }])
    await close(opened)
  })
})
