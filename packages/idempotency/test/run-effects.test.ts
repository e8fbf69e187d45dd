import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unwrap } from '@keelson/idempotency'
import { databases, type Orders } from './orders.ts'

describe.each(Object.keys(databases) as (keyof typeof databases)[])('effects of run() on %s', (name) => {
  let orders: Orders
  beforeAll(async () => {
    orders = await databases[name]('run_effects')
  })
  afterAll(() => orders.close())
  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

  test('they commit with the answer, once', async () => {
    const before = await orders.count()
    const call = someCall()
    const afterCommit: string[] = []
    const work = () =>
      orders.idempotency.run(call, async (x) => {
        x.effect(orders.outbox('tea'), { ...orders.outbox('cup'), afterCommit: () => void afterCommit.push('rung') })
        return 'charged'
      })
    expect(unwrap(await work())).toBe('charged')
    expect(unwrap(await work())).toBe('charged')
    expect(await orders.count()).toMatchObject({ outbox: before.outbox + 2, records: before.records + 1 })
    expect(afterCommit).toEqual(['rung'])
  })

  test('one that the database refuses takes the answer with it, and the key is free', async () => {
    const before = await orders.count()
    const call = someCall()
    const broken = { kind: 'test.broken', statements: () => [{ text: 'insert into nowhere values (1)' }] }
    const failing = orders.idempotency.run(call, async (x) => x.effect(orders.outbox('tea'), broken))
    await expect(failing).rejects.toMatchObject({ code: '42P01' })
    expect(await orders.count()).toEqual(before)
    expect(unwrap(await orders.idempotency.run(call, async () => 'clean'))).toBe('clean')
  })

  test('those of a work that throws never become true', async () => {
    const before = await orders.count()
    const failing = orders.idempotency.run(someCall(), async (x) => {
      x.effect(orders.outbox('tea'))
      throw new Error('later')
    })
    await expect(failing).rejects.toThrow('later')
    expect(await orders.count()).toEqual(before)
  })

  test('those of a run that lost its lease never become true', async () => {
    const before = await orders.count()
    const call = { ...someCall(), lease: '100ms' as const }
    const started = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const stopped = orders.another({
      clock: {
        now: () => Date.now(),
        monotonic: () => performance.now(),
        timer: () => ({ cancel() {} }),
        sleep: () => new Promise(() => {}),
      },
    })
    const zombie = stopped.run(call, async (x) => {
      x.effect(orders.outbox('zombie'))
      started.resolve()
      await release.promise
      return 'zombie'
    })
    await started.promise
    const winner = await orders.idempotency.run({ ...call, wait: '30s' }, async (x) => {
      x.effect(orders.outbox('winner'))
      return 'winner'
    })
    release.resolve()
    expect(unwrap(winner)).toBe('winner')
    expect(unwrap(await zombie)).toBe('winner')
    expect(await orders.count()).toMatchObject({ outbox: before.outbox + 1, records: before.records + 1 })
  })

  test('run() and transaction() meet on one key', async () => {
    const call = someCall()
    const started = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const running = orders.idempotency.run(call, async () => {
      started.resolve()
      await release.promise
      return 'run'
    })
    await started.promise
    expect(await orders.another().transaction({ ...call, wait: 0 }, orders.place)).toMatchObject({ code: 'KEY_IN_USE' })
    release.resolve()
    await running
  })

  test('an expired record is swept, a living one stays', async () => {
    const call = someCall()
    await orders.idempotency.run({ ...call, retain: 1 }, async () => 'gone')
    const kept = someCall()
    await orders.idempotency.run(kept, async () => 'kept')
    const before = await orders.count()
    expect(await orders.idempotency.runOnce()).toEqual({ done: true })
    expect(await orders.count()).toMatchObject({ records: before.records - 1 })
    expect(await orders.idempotency.find(kept)).toMatchObject({ state: 'done', op: 'POST /charges' })
    const swept = orders.idempotency.metrics().find((family) => family.name === 'keelson_idempotency_swept_total')
    expect(swept?.samples[0]?.value).toBe(1)
    expect((await orders.idempotency.inspect()).records).toMatchObject({ done: expect.any(Number) })
  })
})
