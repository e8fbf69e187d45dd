import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unwrap, type Execution, type Idempotency } from '@keelson/idempotency'
import type { StoreKind } from './open-store.ts'
import { startStand, type Stand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'ioredis 5', 'node-redis 6', 'Postgres']

/** Within one store: stores side by side. */
const SEQUENTIAL = { concurrent: false }

describe.concurrent.each(kinds)('%s: one reply is lost, what was asked for is done', (kind) => {
  let stand: Stand
  let idempotency: Idempotency
  let bystander: Idempotency
  beforeAll(async () => {
    stand = await startStand(kind)
    idempotency = await stand.open({ storeTimeout: '30s' }) // time to connect again
    bystander = await stand.open({ storeTimeout: '30s' }, { direct: true })
    // Scripts are known and connections open: what follows is one flight a step.
    for (const each of [idempotency, bystander]) {
      await each.run(someCall(), async (x) => x.save('warm'))
      await each.run(someCall(), fail).catch(() => {})
    }
  })
  afterAll(() => stand[Symbol.asyncDispose]())

  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })
  const failure = new Error('the bank said no')
  const fail = (): Promise<never> => Promise.reject(failure)

  /** The reply to the next step: a script, or a COMMIT. */
  function loseNext(): Promise<boolean> {
    if (kind !== 'Postgres') return stand.proxy.loseReplyAfter((bytes) => /evalsha/i.test(bytes.toString('latin1')))
    // Not READ COMMITTED.
    return stand.proxy.loseReplyAfter(
      (bytes) => bytes.includes('COMMIT\0'),
      (reply) => reply.includes('COMMIT\0'),
    )
  }

  test('of a claim: it is recognised, and runs once as the first attempt', SEQUENTIAL, async () => {
    const call = someCall()
    const lost = loseNext()
    const outcome = await idempotency.run(call, async (x) => ({ attempt: x.attempt }))
    expect(await lost).toBe(true)
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, attempt: 1, value: { attempt: 1 } })
    expect(await bystander.run(call, fail)).toMatchObject({ ok: true, kind: 'replayed', value: { attempt: 1 } })
  })

  test('of a save: it is saved, and the run goes on', SEQUENTIAL, async () => {
    const call = someCall()
    let lost: Promise<boolean> | undefined
    const outcome = await idempotency.run(call, async (x) => {
      lost = loseNext()
      await x.save('half', 1)
      return x.signal.aborted
    })
    expect(await lost).toBe(true)
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, attempt: 1, value: false })
  })

  test('of an answer: it is stored, and its caller knows', SEQUENTIAL, async () => {
    const call = someCall()
    let lost: Promise<boolean> | undefined
    const outcome = await idempotency.run(call, async () => {
      lost = loseNext()
      return 'charged'
    })
    expect(await lost).toBe(true)
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, attempt: 1, value: 'charged' })
    expect(await bystander.run(call, fail)).toMatchObject({ ok: true, kind: 'replayed', value: 'charged' })
  })

  test('of a release: the work’s own error is told, and the key is free', SEQUENTIAL, async () => {
    const call = someCall()
    let lost: Promise<boolean> | undefined
    const outcome = idempotency.run(call, () => {
      lost = loseNext()
      return fail()
    })
    await expect(outcome).rejects.toBe(failure)
    expect(await lost).toBe(true)
    expect(unwrap(await bystander.run(call, async () => 'second'))).toBe('second')
  })

  test('of an unknown end: it is still unknown', SEQUENTIAL, async () => {
    const call = { ...someCall(), guarantee: 'at-most-once' as const }
    let lost: Promise<boolean> | undefined
    const outcome = idempotency.run(call, () => {
      lost = loseNext()
      return fail()
    })
    await expect(outcome).rejects.toBe(failure)
    expect(await lost).toBe(true)
    expect(await bystander.run(call, fail)).toMatchObject({ ok: false, code: 'OUTCOME_UNKNOWN' })
  })

  if (kind !== 'Postgres') return
  test('of an answer with effects: they are committed once', SEQUENTIAL, async () => {
    const pool = new pg.Pool({ connectionString: stand.server.url, max: 1 })
    pool.on('error', () => {})
    await pool.query(`create table ${stand.space}.outbox (text text not null)`)
    const effect = {
      kind: 'test.outbox',
      statements: () => [{ text: `insert into ${stand.space}.outbox values ('once')` }],
    }
    let lost: Promise<boolean> | undefined
    const outcome = await idempotency.run(someCall(), async (x: Execution) => {
      x.effect(effect)
      lost = loseNext()
      return 'charged'
    })
    expect(await lost).toBe(true)
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true })
    expect((await pool.query(`select text from ${stand.space}.outbox`)).rows).toEqual([{ text: 'once' }])
    await pool.end()
  })
})
