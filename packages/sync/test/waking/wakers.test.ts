import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createSync, type Waker } from '@keelson/sync'
import { notifyWaker } from '@keelson/sync/postgres'
import { redisWaker } from '@keelson/sync/redis'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { formatStamp } from '../../src/stamp.ts'
import { openPostgres, type OpenStore } from '../postgres/open-postgres.ts'

const scope = 'acme/team:1'
const who = { principal: { id: 'ann' } }
const channel = 'keelson_test'

/** What carries hints; its server is another one than that of the store. */
interface Carrier {
  start(): Promise<PrivateServer>
  /** With a connection of its own. */
  waker(url: string): Waker
}

const carriers: Record<string, Carrier> = {
  Redis: {
    start: () => startRedis(),
    waker(url) {
      const redis = new Redis(url)
      redis.on('error', () => {})
      onTestFinished(() => redis.disconnect())
      return redisWaker(redis, { prefix: channel })
    },
  },
  Postgres: {
    start: () => startPostgres(),
    waker: (url) =>
      notifyWaker(
        async () => {
          const client = new pg.Client({ connectionString: url })
          await client.connect()
          return client
        },
        { channel },
      ),
  },
}

let count = 0

/** A server whose devices hear by the poll only when the test lets time pass. */
function aServer({ store }: OpenStore, waker: Waker) {
  const clock = virtualClock({ now: Date.now() })
  const task = { fields: { n: 'lww' }, scope: () => scope } as const
  // More than the time that passes here: it is nobody's answer that is late then.
  const sync = createSync({ store, clock, storeTimeout: '60s', scopes: () => [scope], collections: { task }, waker })
  onTestFinished(() => sync.close())
  return {
    sync,
    clock,
    async push() {
      const h = formatStamp({ ms: clock.now(), counter: ++count, node: 'bob' })
      const op = { op: `o${count}`, c: 'task', id: 't1', t: 'put', h, set: { n: count } } as const
      const { results } = await sync.push(who, { v: 1, client: 'bob', ops: [op] })
      expect(results).toMatchObject([{ status: 'applied' }])
    },
    /** A pull that waits; `isOver` after it was given a moment. */
    async wait() {
      const { cursor } = await sync.pull(who, { v: 1, cursor: null })
      const page = sync.pull(who, { v: 1, cursor, waitMs: 25_000 })
      let isOver = false
      void page.catch(() => {}).then(() => (isOver = true))
      const isThere = async () => isOver || (await sync.inspect()).counts['waiters'] === 1
      await expect.poll(isThere, { timeout: 30_000 }).toBe(true)
      const isOverIn = (ms: number): Promise<boolean> => sleep(ms).then(() => isOver)
      return {
        page,
        isOver: () => isOverIn(25),
        /** What it hears as time passes, no faster than ours: the first look at the store may come late. */
        async polled() {
          const beganMs = clock.monotonic()
          do await clock.advance(250)
          while (!(await isOverIn(250)))
          // Mostly 250 ms. Without a look it ends at its 25 s.
          expect(clock.monotonic() - beganMs).toBeLessThan(20_000)
          return page
        },
      }
    },
  }
}

type Server = ReturnType<typeof aServer>

/** `there` pushes until `here` has heard of it, for which no time passes. Late hints of the past tell nothing new. */
async function hears(here: Server, there: Server): Promise<void> {
  const beganMs = here.clock.monotonic()
  for (;;) {
    const waiting = await here.wait()
    do await there.push()
    while (!(await waiting.isOver()))
    expect(here.clock.monotonic()).toBe(beganMs)
    const { task } = (await waiting.page).changes
    if (task !== undefined) return expect(task.updated).toHaveLength(1)
  }
}

describe.each(Object.entries(carriers))('hints over %s', (kind, carrier) => {
  test('a pull that waits hears of a push of another process, which ends by itself', async () => {
    await using server = await carrier.start()
    await using opened = await openPostgres()
    const here = aServer(opened, carrier.waker(server.url))
    const args = [kind, server.url, channel, inject('databaseUrl'), opened.schema]
    await here.push()
    const waiting = await here.wait()
    const file = join(import.meta.dirname, 'pushing-worker.ts')
    const child = spawn(process.execPath, ['--conditions=@keelson/source', '--no-warnings', file, ...args], {
      stdio: ['pipe', 'inherit', 'inherit'],
    })
    const ended = once(child, 'exit')
    const page = await Promise.race([waiting.page, ended.then((how) => expect(how).toBe('running'))])
    expect(page!.changes['task']!.updated).toHaveLength(1)
    child.stdin.end()
    expect(await ended).toEqual([0, null])
    await here.sync.close()
  })

  test('frozen: pushes go on and devices hear by the poll; thawed, or started again: hints are back', async () => {
    await using server = await carrier.start()
    await using opened = await openPostgres()
    const here = aServer(opened, carrier.waker(server.url))
    const there = aServer(opened, carrier.waker(server.url))
    await there.push()
    await hears(here, there)
    for (const [hurt, heal] of [
      [() => server.freeze(), () => server.thaw()],
      [() => server.kill(), () => server.restart()],
    ] as const) {
      await hurt()
      const waiting = await here.wait()
      for (let i = 0; i < 20; i++) await there.push()
      expect(await waiting.isOver()).toBe(false)
      expect((await waiting.polled()).changes['task']!.updated).toHaveLength(1)
      await heal()
      await hears(here, there)
    }
    server.freeze()
    await here.sync.close()
    await there.sync.close()
    server.thaw()
  })

  test('absent: nothing rejects, and it can be closed; once it is there, it is used', async () => {
    await using server = await carrier.start()
    await server.kill()
    await using opened = await openPostgres()
    const [gone, here, there] = [1, 2, 3].map(() => aServer(opened, carrier.waker(server.url))) as [
      Server,
      Server,
      Server,
    ]
    await there.push()
    const waiting = await here.wait()
    await there.push()
    expect(await waiting.isOver()).toBe(false)
    expect((await waiting.polled()).changes['task']!.updated).toHaveLength(1)
    await gone.sync.close()
    await server.restart()
    await hears(here, there)
    await here.sync.close()
    await there.sync.close()
  })

  test('what others say there is not heard, nor what one says oneself', async () => {
    await using server = await carrier.start()
    const [one, other] = [carrier.waker(server.url), carrier.waker(server.url)]
    const heard: Record<string, string[]> = { one: [], other: [] }
    one.on((scopes) => void heard['one']!.push(...scopes))
    other.on((scopes) => void heard['other']!.push(...scopes))
    // Both live: each hears the other.
    while (heard['other']!.length === 0 || heard['one']!.length === 0) {
      one.wake(['from one'])
      other.wake(['from other'])
      await sleep(25)
    }
    for (const text of ['', 'no JSON', '{}', '[1]', '["only who"]', 'null']) await say(kind, server.url, text)
    const scopes = Array.from({ length: 3_000 }, (_, i) => `acme/team:${i} é"\\`)
    one.wake(scopes)
    await expect.poll(() => new Set(heard['other']).size, { timeout: 30_000 }).toBe(3_001)
    expect(new Set(heard['other'])).toEqual(new Set(['from one', ...scopes]))
    expect(new Set(heard['one'])).toEqual(new Set(['from other']))
    await Promise.all([one.close(), other.close()])
    one.wake(['after its end'])
    one.on(() => {})
  })
})

/** What somebody else says on the channel. */
async function say(kind: string, url: string, text: string): Promise<void> {
  if (kind === 'Redis') {
    const redis = new Redis(url)
    await redis.publish(`${channel}:changed`, text)
    redis.disconnect()
    return
  }
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('select pg_notify($1, $2)', [channel, text])
  await client.end()
}

test('node-redis, and a Cluster whose nodes differ, carry hints too', async () => {
  await using stack = new AsyncDisposableStack()
  const cluster = await startRedisCluster()
  stack.defer(() => cluster.stop())
  const [first, second] = cluster.nodes.map((node) => new Cluster([node]))
  const node = await createClient({ url: inject('redisUrl') }).connect()
  stack.defer(() => [first!, second!].forEach((client) => client.disconnect()))
  stack.defer(() => node.destroy())
  const prefix = `sync_${Math.random().toString(36).slice(2)}`
  for (const [one, other] of [
    [redisWaker(first!, { prefix }), redisWaker(second!, { prefix })],
    [redisWaker(node, { prefix }), redisWaker(node, { prefix })],
  ] as const) {
    const heard: string[] = []
    other.on((scopes) => void heard.push(...scopes))
    while (heard.length === 0) {
      one.wake([scope])
      await sleep(25)
    }
    expect(new Set(heard)).toEqual(new Set([scope]))
    await Promise.all([one.close(), other.close()])
  }
})

test('wrong options are refused by name', () => {
  expect(() => redisWaker({} as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  const port = { client: 'custom', command() {}, pipeline() {}, script() {}, subscribe() {} } as never
  expect(() => redisWaker(port, { prefix: 'a b' })).toThrow(/redisWaker: "prefix" must be a text without spaces/)
  expect(() => notifyWaker('x' as never)).toThrow(/notifyWaker: "connect" must be a function/)
  const connect = () => Promise.reject(new Error('never'))
  expect(() => notifyWaker(connect, { channel: 'a"b' })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})
