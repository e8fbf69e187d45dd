import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { createCache, keyOf, type Cache, type Caches, type DropLog } from '@keelson/cache'
import { postgresLog } from '@keelson/cache/postgres'
import { redisStore } from '@keelson/cache/redis'
import type { EffectContext } from '@keelson/kernel'
import { migrate, transact } from '@keelson/kernel/postgres'
import { backends, type Backend } from './backends.ts'

/** A machine that stands still for seconds is no reason to answer before everybody knows. */
const PATIENT = { afterCommitTimeout: '1m' } as const

let business: PGlite
beforeAll(async () => {
  business = new PGlite()
  await business.query('select 1')
})
afterAll(() => business.close())

describe.each(Object.entries(backends))('drop() over %s', (_, open) => {
  async function nodes<T>(work: (a: Cache, b: Cache, all: { a: Caches; b: Caches; backend: Backend }) => Promise<T>) {
    await using backend = await open()
    const [a, b] = [await backend.node(), await backend.node()]
    return await work(a.scope('acme'), b.scope('acme'), { a, b, backend })
  }
  const hasLog = (backend: Backend): boolean => backend.db !== undefined
  const dbOf = (backend: Backend) => backend.db ?? business

  it('is true for every node once the transaction is answered, and not before', async () => {
    await nodes(async (a, b, { backend }) => {
      const bestEffort = !hasLog(backend)
      await a.getOrSet('k', () => 'old', { tags: ['t'] })
      expect(await b.get('k')).toBe('old')
      await transact(
        dbOf(backend),
        async () => {
          if (!(dbOf(backend) instanceof PGlite)) expect(await b.get('k')).toBe('old')
          return { value: undefined, effects: [a.drop('t')] }
        },
        { ...PATIENT, bestEffort },
      )
      expect([a.peek('k'), b.peek('k')]).toEqual([undefined, undefined])
      expect([await a.get('k'), await b.get('k')]).toEqual([undefined, undefined])
    })
  })

  it('a transaction that is rolled back drops nothing', async () => {
    await nodes(async (a, b, { backend }) => {
      await a.getOrSet('k', () => 'old', { tags: ['t'] })
      const failing = transact(dbOf(backend), async () => {
        a.drop('t')
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect([await a.get('k'), await b.get('k')]).toEqual(['old', 'old'])
    })
  })

  it('many drops of one transaction, of several scopes, all count; one effect may be used twice', async () => {
    await nodes(async (a, b, { a: all, backend }) => {
      const o = { ...PATIENT, bestEffort: !hasLog(backend) }
      const other = all.scope('other')
      const drop = a.drop('t0')
      for (let round = 0; round < 2; round++) {
        await Promise.all(Array.from({ length: 5 }, (_, i) => a.getOrSet(['k', i], () => i, { tags: [`t${i}`] })))
        await other.getOrSet('k', () => 1, { tags: ['t'] })
        await transact(
          dbOf(backend),
          async () => ({ value: 1, effects: [drop, a.drop('t1', 't2'), other.drop('t')] }),
          o,
        )
        expect(await b.getMany(Array.from({ length: 5 }, (_, i) => ['k', i] as const))).toEqual([
          undefined,
          undefined,
          undefined,
          3,
          4,
        ])
        expect(await other.get('k')).toBeUndefined()
      }
    })
  })

  it('says what it drops, for a replay', async () => {
    await nodes(async (a) => {
      expect(a.drop('t')).toMatchObject({ kind: 'cache.drop', tags: ['t'], replayHint: { scope: 'acme', tags: ['t'] } })
      const many = a.drop(...Array.from({ length: 60 }, (_, i) => `${'x'.repeat(40)}${i}`))
      expect(many.replayHint).not.toHaveProperty('tags')
      expect(() => a.drop()).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }))
    })
  })
})

describe('a drop whose author died between COMMIT and the cache', () => {
  let log: DropLog
  beforeAll(async () => {
    const made = postgresLog(business, { pollInterval: '50ms', relayAfter: '50ms' })
    await migrate(business, [made])
    log = made
  })

  async function withNodes<T>(work: (a: Caches, b: Caches) => Promise<T>, o: { start: boolean }): Promise<T> {
    const name = `d${Math.random().toString(36).slice(2, 10)}`
    const clients = [new Redis(inject('redisUrl')), new Redis(inject('redisUrl'))]
    const [a, b] = clients.map((client) =>
      createCache({ name, store: redisStore(client), log, storeTimeout: '10s', jitter: 0, early: 0, lease: '300ms' }),
    ) as [Caches, Caches]
    try {
      if (o.start) await Promise.all([a.start(), b.start()])
      return await work(a, b)
    } finally {
      await Promise.all([a.close(), b.close()])
      for (const client of clients) client.disconnect()
    }
  }

  /** Commits the rows of a drop; what comes after the commit never happens. */
  async function committedOnly(cache: Cache, ...tags: string[]): Promise<EffectContext> {
    const ctx: EffectContext = { operationId: crypto.randomUUID(), correlationId: 'request-1', now: 0 }
    const drop = cache.drop(...tags)
    await business.transaction(async (tx) => {
      for (const { text, values } of drop.statements!(ctx)) await tx.query(text, values as unknown[])
    })
    return ctx
  }

  it('is applied by a relay of any node', async () => {
    await withNodes(
      async (a, b) => {
        await a.scope('s').getOrSet('k', () => 'old', { tags: ['t'] })
        expect(await b.scope('s').get('k')).toBe('old')
        await committedOnly(a.scope('s'), 't')
        await vi.waitFor(async () => expect(await b.scope('s').get('k')).toBeUndefined(), { timeout: 60_000 })
        await vi.waitFor(async () => expect((await a.inspect()).log).toMatchObject({ rows: 0 }), { timeout: 60_000 })
      },
      { start: true },
    )
  })

  it('is told by trace() until it is applied', async () => {
    await withNodes(
      async (a, b) => {
        await committedOnly(a.scope('s'), 't', keyOf('k'))
        const rows = await b.trace('request-1')
        expect(rows.map(({ kind, text }) => [kind, text])).toEqual([
          ['cache.drop', expect.stringContaining("tag 't' of scope 's'")],
          ['cache.drop', expect.stringContaining("a key or a prefix of scope 's'")],
        ])
        expect(rows[0]!.at).toBeGreaterThan(Date.UTC(2020, 0, 1))
        expect(await b.trace('request-2')).toEqual([])
        await b.settle()
        await b.stop()
        expect(await b.trace('request-1')).toEqual([])
      },
      { start: false },
    )
  })

  it('is applied before a replay of its operation is answered', async () => {
    await withNodes(
      async (a, b) => {
        await a.scope('s').getOrSet('k', () => 'old', { tags: ['t'] })
        const ctx = await committedOnly(a.scope('s'), 't')
        expect(await b.scope('s').get('k')).toBe('old')
        const hint = a.scope('s').drop('t').replayHint
        await b.replayGuard.beforeReplay([{ cache: 'another' }], ctx)
        expect(await b.scope('s').get('k')).toBe('old')
        await b.replayGuard.beforeReplay([hint], ctx)
        expect(await a.scope('s').get('k')).toBeUndefined()
      },
      { start: false },
    )
  })

  it('is applied by settle() and by runOnce()', async () => {
    await withNodes(
      async (a, b) => {
        await a.scope('s').getOrSet('k', () => 'old', { tags: ['t'] })
        await committedOnly(a.scope('s'), 't')
        expect(await b.settle()).toEqual({ applied: 1 })
        expect(await a.scope('s').get('k')).toBeUndefined()
        await a.scope('s').getOrSet('k', () => 'old', { tags: ['t'] })
        await committedOnly(a.scope('s'), 't')
        await vi.waitFor(
          async () => {
            expect(await b.runOnce({ budget: '1s' })).toEqual({ done: true })
            expect(await a.scope('s').get('k')).toBeUndefined()
          },
          { timeout: 60_000 },
        )
      },
      { start: false },
    )
  })
})

it('without a log a drop is refused in a transaction, unless its loss is accepted', async () => {
  const client = new Redis(inject('redisUrl'))
  const caches = createCache({ name: 'nolog', store: redisStore(client), storeTimeout: '10s', lease: '300ms' })
  const cache = caches.scope('s')
  await cache.getOrSet('k', () => 'old', { tags: ['t'] })
  const work = async () => ({ value: 1, effects: [cache.drop('t')] })
  await expect(transact(business, work)).rejects.toMatchObject({ code: 'EFFECT_NOT_TRANSACTIONAL' })
  expect(await cache.get('k')).toBe('old')
  await transact(business, work, { ...PATIENT, bestEffort: true })
  expect(await cache.get('k')).toBeUndefined()
  await expect(caches.settle()).rejects.toMatchObject({ code: 'NO_LOG' })
  await caches.close()
  client.disconnect()
})
