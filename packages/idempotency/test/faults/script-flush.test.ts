import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unwrap } from '@keelson/idempotency'
import type { StoreKind } from './open-store.ts'
import { startStand, type Stand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'ioredis 5', 'node-redis 6']

describe.each(kinds)('%s', (kind) => {
  let stand: Stand
  let flusher: Redis
  beforeAll(async () => {
    stand = await startStand(kind)
    flusher = new Redis(stand.server.url)
  })
  afterAll(async () => {
    flusher.disconnect()
    await stand[Symbol.asyncDispose]()
  })

  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

  test('nobody sees that scripts are flushed between the steps of a run', async () => {
    const idempotency = await stand.open({ storeTimeout: '30s' })
    const flush = (): Promise<unknown> => flusher.script('FLUSH', 'SYNC')
    const call = someCall()
    await flush()
    const outcome = await idempotency.run(call, async (x) => {
      await flush()
      await x.save('half')
      await flush()
      return 1
    })
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, attempt: 1, value: 1 })
    await flush()
    expect(unwrap(await idempotency.run(call, async () => 2))).toBe(1)
    await flush()
    expect(await idempotency.find(call)).toMatchObject({ state: 'done' })
    await flush()
    expect(await idempotency.forget(call)).toBe(true)
  })

  test('nor while many run and others wait for them', async () => {
    const instances = await Promise.all([stand.open({ storeTimeout: '30s' }), stand.open({ storeTimeout: '30s' })])
    let runs = 0
    const lanes = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 10; i++) {
        const call = { ...someCall(), wait: '60s' as const }
        const work = async (): Promise<number> => {
          await sleep(5)
          return ++runs
        }
        const outcomes = await Promise.all(instances.map((each) => each.run(call, work)))
        expect(new Set(outcomes.map(unwrap)).size).toBe(1)
      }
    })
    const flood = { over: false }
    let flushes = 0
    const flushing = (async () => {
      while (!flood.over) {
        await flusher.script('FLUSH')
        flushes++
        await sleep(1)
      }
    })()
    const running = Promise.all(lanes).finally(() => (flood.over = true))
    await Promise.all([running, flushing])
    expect(runs).toBe(200)
    expect(flushes).toBeGreaterThan(10)
  })
})
