import { Redis } from 'ioredis'
import { afterAll, expect, inject, test } from 'vitest'
import type { Claim, NewEvent, WebhookStore } from '@keelson/webhooks'
import { redisStore } from '@keelson/webhooks/redis'
import { startJumpingRedis } from '../../../../tools/servers/jumping-redis.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { redisClients } from '../../../../tools/servers/redis-clients.ts'
import { openTimedRedis, somePrefix } from './redis-subject.ts'

const PATIENCE_MS = 60_000
const HOUR_MS = 3_600_000
const client = new Redis(inject('redisUrl'))
afterAll(() => client.disconnect())

const RULES = { concurrency: 4, rate: null, leaseMs: HOUR_MS, breaker: null, disableAfterMs: null }

async function anEndpoint(store: WebhookStore, id = 'ep_1', leaseMs: number = HOUR_MS): Promise<void> {
  const secrets = [{ sealed: new Uint8Array(8), untilMs: null }]
  const row = { scope: 'acme', id, state: 'active', disabledReason: null, config: '{}', secrets } as const
  await store.endpoints.insert({ ...row, rules: { ...RULES, leaseMs } }, 100)
}

function anEvent(n: number, more: Partial<NewEvent> = {}): NewEvent {
  return { scope: 'acme', id: `ev_${n}`, type: 'a.b', body: new Uint8Array([n]), digest: String(n), ...more }
}

const claimed = (store: WebhookStore, limit = 100): Promise<readonly Claim[]> =>
  store.claim({ limit, owner: 'n', suspects: true, handlers: [] })

async function routed(store: WebhookStore, endpoint = 'ep_1'): Promise<number> {
  const taken = await store.takeUnrouted(100, HOUR_MS)
  const routes = taken.map(({ event, revision, token }) => ({
    scope: event.scope,
    event: event.id,
    token,
    matched: { revision, deliveries: [{ id: `dl_${event.id}`, endpoint }] },
  }))
  return (await store.route(routes)).filter((kind) => kind === 'ok').length
}

async function succeed(store: WebhookStore, claims: readonly Claim[]): Promise<void> {
  const attempt = {
    durationMs: 1,
    outcome: 'success',
    status: 200,
    remoteAddress: null,
    response: '',
    error: null,
  } as const
  await store.settle(
    claims.map(({ token }) => ({
      token,
      attempt,
      end: { kind: 'succeeded' },
      signal: { kind: 'success', fast: true },
    })),
  )
}

test('wrong options and transactions are refused', async () => {
  for (const [options, named] of [
    [{ prefix: 'a b' }, '"prefix"'],
    [{ shards: 0 }, '"shards"'],
    [{ shard: 1 }, '"shard"'],
  ] as const) {
    expect(() => redisStore(client, options as object), named).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(named) }),
    )
  }
  await expect(redisStore(client).publish([anEvent(1)], {} as never)).rejects.toMatchObject({
    name: 'WebhookError',
    code: 'STORE_NOT_TRANSACTIONAL',
  })
})

test('when all is over and swept no key is left but numbers', async () => {
  const prefix = somePrefix()
  const store = redisStore(client, { prefix })
  await anEndpoint(store)
  await anEndpoint(store, 'ep_2')
  await store.publish([
    anEvent(1, { subject: 'ada', correlationId: 'c' }),
    anEvent(2, { key: 'k' }),
    anEvent(3, { key: 'k' }),
    anEvent(4),
  ])
  expect(await routed(store)).toBe(4)
  await store.publish([anEvent(5), anEvent(6, { key: 'k' })])
  expect(await routed(store, 'ep_2')).toBe(2)
  for (let claims = await claimed(store); claims.length > 0; claims = await claimed(store)) await succeed(store, claims)
  await store.deliveries.retry('acme', 'dl_ev_1')
  await store.deliveries.cancel({ scope: 'acme' }, 100)
  await store.deliveries.startRedrive({ id: 'rd', scope: 'acme', status: 'cancelled', perSecond: 1_000 })
  await store.deliveries.redriveStep(100)
  await store.pause('acme', true)
  await store.pause(null, true)
  await store.pause('acme', false)
  await store.pause(null, false)
  expect(await store.endpoints.remove('acme', 'ep_1')).toBe(true)
  expect(await store.endpoints.remove('acme', 'ep_2')).toBe(true)
  const none = { attemptsMs: 0, deliveriesMs: 0, eventsMs: 0, heldMs: 0 }
  await until('all is swept', PATIENCE_MS, async () => ((await store.sweep(100, none)) === 0 ? true : undefined))
  const { counts } = await store.inspect()
  expect(
    Object.values(counts).every((count) => count === 0),
    JSON.stringify(counts),
  ).toBe(true)
  // The wake-up that nobody waits for ends by itself.
  const left = (await client.keys(`{${prefix}:0}*`)).map((key) => key.slice(key.indexOf('}') + 2)).toSorted()
  expect(left.filter((key) => key !== 'wake')).toEqual(['counts', 'n'])
})

test('a row of a log goes after its time, whether it is the only one, one of several, or too long for its delivery', async () => {
  const FOREVER = { attemptsMs: 1e13, deliveriesMs: 1e13, eventsMs: 1e13, heldMs: 1e13 }
  await using timed = await openTimedRedis(redisClients['ioredis 6'], 1)
  const { store } = timed
  let nowMs = 1_700_000_000_000
  const later = (hours: number): Promise<void> => timed.at((nowMs += hours * HOUR_MS))
  const logs = async (): Promise<number[][]> =>
    Promise.all(
      [1, 2, 3].map(async (n) =>
        (await store.deliveries.attempts('acme', `dl_ev_${n}`, { limit: 9 }))!.map(({ fence }) => fence),
      ),
    )
  const sweep = (hours: number): Promise<number> => store.sweep(100, { ...FOREVER, attemptsMs: hours * HOUR_MS })
  await later(0)
  for (const n of [1, 2, 3]) await anEndpoint(store, `ep_${n}`, 1e9)
  for (const n of [1, 2, 3]) {
    await store.publish([anEvent(n)])
    await routed(store, `ep_${n}`)
  }
  const first = await claimed(store)
  expect(first).toHaveLength(3)
  const row = { durationMs: 1, outcome: 'success', status: 200, remoteAddress: null, error: null } as const
  const signal = { kind: 'success', fast: true } as const
  await store.settle(
    first.map(({ token }) => ({
      token,
      attempt: { ...row, response: token.endpoint === 'ep_3' ? 'x'.repeat(2_000) : '' },
      end: token.endpoint === 'ep_2' ? { kind: 'retry', afterMs: 0 } : { kind: 'succeeded' },
      signal,
    })),
  )
  await later(48)
  await succeed(store, await claimed(store))
  expect(await logs()).toEqual([[1], [1, 2], [1]])
  expect(await sweep(49)).toBe(0)
  expect(await sweep(24)).toBe(3)
  expect(await logs()).toEqual([[], [2], []])
  expect(await sweep(24)).toBe(0)

  // One that goes again has a log again.
  await store.deliveries.retry('acme', 'dl_ev_1')
  await succeed(store, await claimed(store))
  expect(await logs()).toEqual([[2], [2], []])
  await later(48)
  expect(await sweep(24)).toBe(2)
  expect(await logs()).toEqual([[], [], []])
  expect(await store.sweep(100, { ...FOREVER, deliveriesMs: 0 })).toBe(3)
  expect(await store.deliveries.get('acme', 'dl_ev_1')).toBeNull()
})

test('a wake-up comes without polling, also when scripts were flushed, until it is stopped', async () => {
  const prefix = somePrefix()
  const [here, there] = [redisStore(client, { prefix }), redisStore(client, { prefix })]
  let woken = 0
  const stop = await here.onWake(() => woken++)
  await there.publish([anEvent(1)])
  await until('it is woken', PATIENCE_MS, async () => (woken === 1 ? true : undefined))
  await there.publish([anEvent(2)])
  await until('it is woken again', PATIENCE_MS, async () => (woken === 2 ? true : undefined))
  await client.script('FLUSH')
  await there.publish([anEvent(3)])
  await until('the script is there again', PATIENCE_MS, async () => (woken === 3 ? true : undefined))
  await stop()
  await there.publish([anEvent(4)])
  expect(await client.llen(`{${prefix}:0}:wake`), 'nobody takes it').toBe(1)
  expect(woken).toBe(3)
  await here.close()
})

test('the clock of the server jumps back: no lease is lost, no lane is stuck when it is right again', async () => {
  await using redis = await startJumpingRedis()
  const its = new Redis(redis.server.url)
  try {
    const store = redisStore(its)
    await anEndpoint(store)
    await store.publish([anEvent(1), anEvent(2)])
    await routed(store)
    const first = await claimed(store)
    expect(first).toHaveLength(1)
    await redis.jump(-HOUR_MS / 2)
    expect(await store.reap(10)).toEqual([])
    await succeed(store, first)
    await redis.jump(HOUR_MS / 2)
    await until('the next one goes', PATIENCE_MS, async () => ((await claimed(store)).length === 1 ? true : undefined))
    await redis.jump(2 * HOUR_MS)
    expect(await store.reap(10)).toHaveLength(1)
  } finally {
    its.disconnect()
  }
})

test('a server that is killed again and again, its AOF synced always, loses nothing that it said', async () => {
  await using server = await startRedis({ settings: { appendonly: 'yes', appendfsync: 'always' } })
  const its = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: () => 20 })
  its.on('error', () => {}) // it says what was done to it
  try {
    const store = redisStore(its)
    await anEndpoint(store, 'ep_1', 1)
    const { revision } = await store.audience('acme')
    const published = new Set<string>()
    const settled = new Set<string>()
    let n = 0
    for (let kill = 0; kill < 3; kill++) {
      const killed = new AbortController()
      const writers = Array.from({ length: 8 }, async () => {
        while (!killed.signal.aborted) {
          const id = ++n
          const matched = { revision, deliveries: [{ id: `dl_${id}`, endpoint: 'ep_1' }] }
          await store.publish([anEvent(id, { matched })]).then(
            () => published.add(`dl_${id}`),
            () => {},
          )
        }
      })
      const worker = (async () => {
        while (!killed.signal.aborted) {
          try {
            await store.reap(100)
            const claims = await claimed(store)
            await succeed(store, claims)
            for (const { token } of claims) settled.add(token.delivery)
          } catch {
            // It was killed meanwhile.
          }
        }
      })()
      await until('some are through', PATIENCE_MS, async () => (settled.size > (kill + 1) * 20 ? true : undefined))
      await server.kill()
      killed.abort()
      await Promise.all([...writers, worker])
      await server.restart()
      await until('it answers', PATIENCE_MS, async () => its.ping().catch(() => undefined))
    }
    for (const id of published) expect(await store.deliveries.get('acme', id), id).not.toBeNull()
    for (const id of settled) {
      const logged = (await store.deliveries.attempts('acme', id, { limit: 100 }))!
      expect(
        logged.some(({ outcome }) => outcome === 'success' || outcome === 'stale'),
        id,
      ).toBe(true)
    }
    expect((await store.endpoints.get('acme', 'ep_1'))!.health.inFlight).toBe((await store.inspect()).counts.delivering)
  } finally {
    its.disconnect()
  }
})
