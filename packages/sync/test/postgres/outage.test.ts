import { afterAll, expect, inject, test } from 'vitest'
import type { Tx } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { until } from '../../../../tools/servers/until.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { ann, openDevice, openSync } from '../open-sync.ts'
import { openPostgres } from './open-postgres.ts'
import { aHolder } from './steps.ts'

const PATIENCE_MS = 120_000
const ROUNDS = 10
const set = { team: '1', title: 'Call', done: false }

const opened = await openPostgres(undefined, { storeTimeout: '5s' })
const { store, pool, schema } = opened
afterAll(() => opened[Symbol.asyncDispose]())

/** A server whose time stands still, and what its application does in a push. */
function stand(apply: (tx: Tx | undefined) => Promise<void> = async () => {}, of = store) {
  const clock = virtualClock({ now: Date.now() })
  const sync = openSync({ store: of, clock, storeTimeout: '5s', task: { apply } })
  return { clock, sync, state: async () => (await sync.inspect()).state }
}

test('an application that takes its time is no outage', async () => {
  const began = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const { clock, sync, state } = stand(async () => {
    began.resolve()
    await gate.promise
  })
  const device = openDevice(sync, ann, 'slow')
  const pushed = device.push(device.op('slow', 'put', { set }))
  await began.promise
  await clock.advance(3_600_000)
  expect(await state()).toBe('ok')
  gate.resolve()
  expect(await pushed).toMatchObject([{ status: 'applied' }])
})

test('nor is an application that meets an outage of its own', async () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const { sync, state } = stand(async () => {
    throw refused
  })
  const device = openDevice(sync, ann, 'refused')
  await expect(device.push(device.op('refused', 'put', { set }))).rejects.toBe(refused)
  expect(await state()).toBe('ok')
})

test('but one whose statement loses the connection has met ours', async () => {
  const { sync } = stand(async (tx) => {
    await tx!.query('select pg_terminate_backend(pg_backend_pid())')
  })
  const device = openDevice(sync, ann, 'lost')
  await expect(device.push(device.op('lost', 'put', { set }))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  await expect(sync.pull(ann, { v: 1, cursor: null })).rejects.toThrow('is down')
})

const busy = { code: 'STORE_UNAVAILABLE', retryable: true, message: expect.stringContaining('did not end in time') }

test('what somebody else holds is no outage, whoever waits for it', async () => {
  // Each has a guard of its own: who is answered meanwhile would speak for the others.
  const [pushing, queueing, resolving] = [stand(), stand(), stand()]
  const device = openDevice(pushing.sync, ann, 'waits')
  await device.push(device.op('held', 'put', { set: { ...set, budget: 1 } }))
  const [conflict] = await device.push(device.op('held', 'patch', { set: { budget: 2 }, base: {} }))
  expect(conflict).toMatchObject({ status: 'conflict', code: 'stale-base' })
  await using holder = await aHolder(inject('databaseUrl'))
  await holder.query(`select from ${schema}.sync_record where id = 'held' for update`)
  await holder.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`${schema}.sync_client queued`])
  const queued = openDevice(queueing.sync, ann, 'queued')
  const told = await Promise.allSettled([
    queued.push(queued.op('other', 'put', { set })),
    resolving.sync.conflicts.resolve(ann, conflict!.conflict!, { take: 'mine' }),
    device.push(device.op('held', 'patch', { set: { title: 'y' } })),
  ])
  expect(told).toMatchObject([
    { status: 'rejected', reason: busy },
    { status: 'rejected', reason: { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('busy') } },
    { status: 'fulfilled', value: [{ status: 'retry', code: 'busy' }] },
  ])
  for (const { state } of [pushing, queueing, resolving]) expect(await state()).toBe('ok')
})

test('nor what a change of the server waits for', async () => {
  const { sync } = stand()
  const device = openDevice(sync, ann, 'changed')
  await device.push(device.op('changed', 'put', { set }))
  await using holder = await aHolder(inject('databaseUrl'))
  await holder.query(`select from ${schema}.sync_record where id = 'changed' for update`)
  const change = { c: 'task', x: { t: 'patch', id: 'changed', set: { title: 'x' } }, scope: 'acme/team:1' } as const
  // Its lock has 4 s and its answer 5: a process that stands still between takes the server for silent. Not every time.
  for (let round = 1; ; round++) {
    const writing = stand()
    const told: unknown = await writing.sync.write([change]).catch((error: unknown) => error)
    expect(told).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    if (round < ROUNDS && !(told as Error).message.includes('did not end in time')) continue
    expect(told).toMatchObject(busy)
    expect(await writing.state()).toBe('ok')
    await holder.query('rollback')
    return expect(await writing.sync.write([change])).toMatchObject({ stamps: [expect.any(String)] })
  }
})

test('a push whose caller was told no does nothing any more', async () => {
  let applied = 0
  // It still waits for its lock when it is looked for.
  const patient = postgresStore(pool, { schema, storeTimeout: '2m' })
  const { clock, sync } = stand(async () => void applied++, patient)
  const device = openDevice(sync, ann, 'late')
  const op = device.op('late', 'put', { set })
  await using holder = await aHolder(inject('databaseUrl'))
  await holder.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`${schema}.sync_client late`])
  const pushed = expect(device.push(op)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  const waiting = (count: number) =>
    until(`${count} wait for a lock`, PATIENCE_MS, async () => {
      const { rows } = await pool.query(`select from pg_locks l join pg_stat_activity a using (pid)
        where not l.granted and a.query like '%${schema}.sync_open%'`)
      return rows.length === count || undefined
    })
  await waiting(1)
  await clock.advance(5_000)
  await pushed
  await holder.query('rollback')
  await waiting(0)
  await until('its connection is free', PATIENCE_MS, async () => pool.idleCount === pool.totalCount || undefined)
  expect(applied).toBe(0)
  await clock.advance(1_000)
  await until('the store is back', PATIENCE_MS, async () => {
    await clock.advance(1_000)
    return (await sync.inspect()).state === 'ok' || undefined
  })
  expect(await device.push(op)).toMatchObject([{ status: 'applied' }])
  expect(applied).toBe(1)
})
