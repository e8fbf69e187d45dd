import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { KernelError } from '../../src/index.ts'
import { retryTx, transact } from '../../src/postgres/index.ts'

const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 4 })
const table = `retry_tx_${process.pid}`
beforeAll(async () => {
  await pool.query(`create table ${table} (id int primary key, n int not null)`)
})
afterAll(async () => {
  await pool.query(`drop table ${table}`)
  await pool.end()
})

const raise = (state: string): string => `do $$ begin raise exception 'as asked' using errcode = '${state}'; end $$`

test('a deadlock is resolved by another attempt, and both works are committed once', async () => {
  await pool.query(`insert into ${table} values (1, 0), (2, 0)`)
  let attempts = 0
  const both = { arrived: 0, open: () => {} }
  const together = new Promise<void>((resolve) => (both.open = resolve))
  const add = (ids: readonly number[]) =>
    retryTx(pool, async (tx) => {
      attempts++
      await tx.query(`update ${table} set n = n + 1 where id = $1`, [ids[0]])
      if (++both.arrived === 2) both.open()
      await together
      await tx.query(`update ${table} set n = n + 1 where id = $1`, [ids[1]])
      return ids
    })
  expect(await Promise.all([add([1, 2]), add([2, 1])])).toEqual([
    [1, 2],
    [2, 1],
  ])
  expect(attempts).toBe(3)
  expect((await pool.query(`select n from ${table} order by id`)).rows).toEqual([{ n: 2 }, { n: 2 }])
})

test('it is tried so often, and rejects with the last error itself', async () => {
  const errors: unknown[] = []
  const failing = retryTx(
    pool,
    async (tx) => {
      await tx.query(`insert into ${table} values (9, 9)`)
      await tx.query(raise('40001')).catch((error: unknown) => {
        errors.push(error)
        throw error
      })
    },
    { attempts: 3, base: 0 },
  )
  await expect(failing).rejects.toMatchObject({ code: '40001' })
  expect(errors).toHaveLength(3)
  await expect(failing).rejects.toBe(errors[2])
  expect((await pool.query(`select 1 from ${table} where id = 9`)).rows).toEqual([])
})

test('other errors are not tried again, unless they are named', async () => {
  let attempts = 0
  const work = async (tx: { query(text: string): Promise<unknown> }): Promise<void> => {
    attempts++
    await tx.query(raise('55P03'))
  }
  await expect(retryTx(pool, work)).rejects.toMatchObject({ code: '55P03' })
  expect(attempts).toBe(1)
  await expect(retryTx(pool, work, { sqlStates: ['55P03'], attempts: 2, base: 0 })).rejects.toThrow()
  expect(attempts).toBe(3)
  const own = new KernelError('COMMIT_UNKNOWN', 'it may have happened', {
    cause: Object.assign(new Error(), { code: '40001' }),
  })
  await expect(retryTx(pool, async () => (attempts++, Promise.reject(own)))).rejects.toBe(own)
  expect(attempts).toBe(4)
})

test('a signal ends the wait for another attempt with its reason', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  let attempts = 0
  const waiting = retryTx(
    pool,
    async (tx) => {
      attempts++
      setImmediate(() => setTimeout(() => controller.abort(reason), 50))
      await tx.query(raise('40001'))
    },
    { base: '1h', cap: '1h', signal: controller.signal },
  )
  await expect(waiting).rejects.toBe(reason)
  expect(attempts).toBe(1)
  await expect(retryTx(pool, async () => attempts++, { signal: controller.signal })).rejects.toBe(reason)
})

test('an open transaction, a client and wrong options are refused', async () => {
  const nothing = async (): Promise<void> => {}
  await transact(pool, async (tx) => {
    await expect(retryTx(tx as never, nothing)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    return { value: undefined }
  })
  const client = await pool.connect()
  await expect(retryTx(client as never, nothing)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  client.release()
  await expect(retryTx({} as never, nothing)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(retryTx(pool, nothing, { attempts: 0 })).rejects.toThrow(
    'retryTx: "attempts" must be an integer from 1 to 1000 (got 0)',
  )
  await expect(retryTx(pool, nothing, { sqlStates: ['deadlock'] })).rejects.toThrow(
    "an array of SQLSTATEs such as ['40001']",
  )
})
