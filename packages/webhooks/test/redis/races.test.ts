import { Redis } from 'ioredis'
import { expect, inject, test } from 'vitest'
import type { NewEvent } from '@keelson/webhooks'
import { redisStore } from '@keelson/webhooks/redis'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { until } from '../../../../tools/servers/until.ts'
import { somePrefix } from './redis-subject.ts'

const PATIENCE_MS = 120_000
const PROCESSES = 3
const ENDPOINTS = ['ep_1', 'ep_2', 'ep_3']
const CONCURRENCY = 4
const KEYS = 6
/** At least. */
const EVENTS = process.env['LONG'] === '1' ? 5_000 : 300

/** What a process has seen. */
interface Race {
  readonly claimed: number
  readonly faults: readonly string[]
}

test('three processes claim and settle at once: none is claimed twice, no lane is over its limit, keys keep their order', async () => {
  const url = inject('redisUrl')
  const prefix = somePrefix()
  const client = new Redis(url)
  await using _client = { [Symbol.asyncDispose]: async () => client.disconnect() }
  const store = redisStore(client, { prefix })
  const rules = { concurrency: CONCURRENCY, rate: null, leaseMs: 3_600_000, breaker: null, disableAfterMs: null }
  for (const id of ENDPOINTS) {
    const row = { scope: 'acme', id, state: 'active', disabledReason: null, config: '{}', secrets: [], rules } as const
    await store.endpoints.insert(row, 10)
  }
  const env = { REDIS_URL: url, PREFIX: prefix, CONCURRENCY: String(CONCURRENCY) }
  const file = new URL('./racing-worker.ts', import.meta.url)
  const start = () => startWorker<'stop', Race | 'takes part'>(file, env)
  const workers = await Promise.all(Array.from({ length: PROCESSES }, start))
  const taking = new Set<number>()
  for (const [i, worker] of workers.entries()) worker.onMessage(() => void taking.add(i))
  try {
    const { revision } = await store.audience('acme')
    let events = 0
    // One that stands still for a while takes part all the same.
    while (events < EVENTS || taking.size < PROCESSES) await store.publish([eventOf(events++, revision)])
    await until('nothing is open', PATIENCE_MS, async () => {
      const { pending, delivering } = (await store.inspect()).counts
      return pending + delivering === 0 ? true : undefined
    })
    const races = await Promise.all(
      workers.map(async (worker) => {
        const seen = new Promise<Race>((resolve) => worker.onMessage((said) => said !== 'takes part' && resolve(said)))
        worker.send('stop')
        return seen
      }),
    )
    expect(races.flatMap(({ faults }) => faults)).toEqual([])
    for (const endpoint of ENDPOINTS) {
      for (let k = 0; k < KEYS; k++) {
        const done = await client.lrange(`${prefix}:book:done:${endpoint} k${k}`, 0, -1)
        const sent = Array.from({ length: events }, (_, n) => n).filter((n) => n % KEYS === k)
        expect(done).toEqual(sent.map((n) => `ev_${n}`))
      }
      expect((await store.endpoints.get('acme', endpoint))!.health.inFlight).toBe(0)
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()))
  }
})

function eventOf(n: number, revision: string): NewEvent {
  const deliveries = ENDPOINTS.map((endpoint) => ({ id: `dl_${String(n).padStart(6, '0')}_${endpoint}`, endpoint }))
  const body = new TextEncoder().encode(`${n}`)
  const more = { key: `k${n % KEYS}`, matched: { revision, deliveries } }
  return { scope: 'acme', id: `ev_${n}`, type: 'a.b', body, digest: `${n}`, ...more }
}
