import { context, silentLogger } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, test, vi } from 'vitest'
import { createCache, memoryStore, type DropLog } from '@keelson/cache'
import { goodLogSteps, logOfSteps } from '../src/conformance/log-of-steps.ts'
import { createPaidRows } from '../src/paid-rows.ts'
import { away, LEASE_MS, leased, settled } from './leased.ts'

function logged() {
  const all = leased()
  return { all, ...logOfSteps(goodLogSteps, all.clock) }
}

describe('drops in a log', () => {
  test('one effect twice in one unit of work: all its rows are deleted by their author', async () => {
    const { all, log, db } = logged()
    await using _ = all
    const cache = all.node({ log }).caches.scope('s')
    const drop = cache.drop('t')
    await all.during(transact(db, async () => ({ value: 1, effects: [drop, drop] })))
    await all.clock.advance(200)
    expect(await log.backlog('leased')).toMatchObject({ rows: 0 })
  })

  test('a cache of this process alone leaves no rows', async () => {
    const clock = virtualClock()
    const { log, db } = logOfSteps(goodLogSteps, clock)
    await using caches = createCache({ name: 'own', store: memoryStore({ clock }), log, clock })
    const cache = caches.scope('s')
    await cache.getOrSet('k', () => 1, { tags: ['t'] })
    await transact(db, async () => ({ value: 1, effects: [cache.drop('t')] }))
    expect(await cache.get('k')).toBeUndefined()
    expect(await log.backlog('own')).toMatchObject({ rows: 0 })
  })

  async function withRows(rows: number, more: (log: DropLog) => Partial<DropLog> = () => ({})) {
    const { all, log: good, db } = logged()
    const log = { ...good, ...more(good) }
    const { caches, line } = all.node({ log })
    const cache = caches.scope('s')
    const ctx = { operationId: 'op', now: 0 }
    await db.transaction(async (tx) => {
      for (let i = 0; i < rows; i++) {
        const { text, values } = cache.drop(`t${i}`).statements!(ctx)[0]!
        await tx.query(text, values)
      }
    })
    return { all, log, caches, line }
  }

  test('a node that was cut off drains the log before it reads', async () => {
    const { all, caches, line } = await withRows(1)
    await using _ = all
    const cache = caches.scope('s')
    await cache.getOrSet('k', () => 'old', { tags: ['t0'] })
    expect(await cache.get('k')).toBe('old')
    line.before = away
    expect(await cache.get('k')).toBeUndefined()
    line.before = () => undefined
    await all.clock.advance(1_000)
    expect((await caches.inspect()).store.state).toBe('up')
    expect(await all.during(cache.get('k'))).toBeUndefined()
    expect(line.calls.indexOf('bump')).toBeLessThan(line.calls.lastIndexOf('read'))
  })

  test('a relay deletes what was applied, nothing else', async () => {
    const { all, caches, line, log } = await withRows(1)
    await using _ = all
    await all.during(caches.start())
    line.before = (method) => (method === 'bump' ? away() : undefined)
    await all.clock.advance(2_000)
    await settled()
    expect(await log.backlog('leased')).toMatchObject({ rows: 1 })
    line.before = () => undefined
    for (let i = 0; i < 100; i++) {
      await all.clock.advance(50)
      await settled()
    }
    expect(await log.backlog('leased')).toMatchObject({ rows: 0 })
  })

  test('settle() of a long log applies each row once', async () => {
    const { all, caches, line, log } = await withRows(2_500, (good) => ({
      done: async (ids) => {
        await settled()
        return good.done(ids)
      },
    }))
    await using _ = all
    expect(await all.during(caches.settle())).toEqual({ applied: 2_500 })
    expect(line.calls.filter((call) => call === 'bump')).toHaveLength(3)
    await all.clock.advance(200)
    await settled()
    expect(await log.backlog('leased')).toMatchObject({ rows: 0 })
  })

  test('settle() deletes nothing before it is applied', async () => {
    const { all, caches, line, log } = await withRows(300)
    await using _ = all
    line.before = (method) => (method === 'bump' ? away() : undefined)
    await expect(all.during(caches.settle())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await all.clock.advance(200)
    expect(await log.backlog('leased')).toMatchObject({ rows: 300 })
  })

  test('settle() of one operation leaves the others', async () => {
    const { all, caches, log } = await withRows(2)
    await using _ = all
    expect(await all.during(caches.settle({ operation: 'another' }))).toEqual({ applied: 0 })
    expect(await log.backlog('leased')).toMatchObject({ rows: 2 })
    expect(await all.during(caches.settle({ operation: 'op' }))).toEqual({ applied: 2 })
  })

  test('a drop that the store did not take keeps its rows', async () => {
    const { all, log, db } = logged()
    await using _ = all
    const { caches, line } = all.node({ log })
    line.before = (method) => (method === 'bump' ? away() : undefined)
    const drop = caches.scope('s').drop(...Array.from({ length: 300 }, (_, i) => `t${i}`))
    await all.during(transact(db, async () => ({ value: 1, effects: [drop] })))
    await all.clock.advance(200)
    expect(await log.backlog('leased')).toMatchObject({ rows: 300 })
  })

  test.each([
    ['owe', true, 0],
    ['wait', true, LEASE_MS],
    ['wait', false, 60],
  ] as const)(
    'a store that is away, %s, rows left: %s: the answer waits %d ms',
    async (onUnavailable, left, waitsMs) => {
      const { all, log, db } = logged()
      await using _ = all
      const { caches, line } = all.node({ log, onUnavailable })
      line.before = away
      await expect(caches.scope('s').invalidate('before')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      const begin = all.clock.monotonic()
      const unit = transact(db, async () => ({ value: 1, effects: [caches.scope('s').drop('t')] }), {
        clock: all.clock,
      })
      await settled()
      if (!left) {
        await all.clock.advance(40)
        // Another node relays: it is seen at the next look, 20 ms later.
        await log.done((await log.pending('leased')).map(({ id }) => id))
      }
      await all.during(unit)
      expect(all.clock.monotonic() - begin).toBe(waitsMs)
    },
  )

  test('nothing is dropped before its transaction is committed', async () => {
    const { all, log, db } = logged()
    await using _ = all
    const { caches, line } = all.node({ log })
    const drop = caches.scope('s').drop('t')
    await db.transaction(async (tx) => {
      for (const { text, values } of drop.statements!({ operationId: 'op', now: 0 })) await tx.query(text, values)
      await settled()
    })
    expect(line.calls).toEqual([])
    await all.during(transact(db, async () => ({ value: 1, effects: [drop] })))
    expect(line.calls).toEqual(['bump'])
  })

  test('a node whose subscription was lost drains the log before it reads', async () => {
    const { all, caches, line } = await withRows(1)
    await using _ = all
    const cache = caches.scope('s')
    await caches.start()
    expect(await cache.getOrSet('k', () => 'old', { tags: ['t0'] })).toBe('old')
    line.before = (method) => (method === 'join' ? away() : undefined)
    line.events!.lost()
    expect(await all.during(cache.get('k'))).toBeUndefined()
  })

  test('settle() of a log that deletes nothing ends', async () => {
    const { all, caches } = await withRows(1_000, () => ({ done: away }))
    await using _ = all
    await expect(all.during(caches.settle())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  test('a log that hangs holds up neither inspect() nor stop()', async () => {
    const never = async (): Promise<never> => new Promise(() => {})
    const { all, caches } = await withRows(1, () => ({ backlog: never, done: never, claim: never }))
    await all.during(caches.settle())
    expect((await all.during(caches.inspect())).log).toBeNull()
    await all.during(caches.start())
    await all.clock.advance(1_000)
    await all.during(caches.stop({ drain: '1s' }))
    expect(all.clock.monotonic()).toBeLessThan(10_000)
    await all.during(caches.close())
  })
})

test('applied rows that are deleted now are deleted behind those before', async () => {
  const answers: PromiseWithResolvers<void>[] = []
  const done = async (): Promise<void> => (answers.push(Promise.withResolvers()), answers.at(-1)!.promise)
  const paid = createPaidRows(done, virtualClock(), silentLogger)
  paid.add(['a'])
  void paid.flush()
  paid.add(['b'])
  const flushed = vi.fn()
  void paid.flush().then(flushed)
  await settled()
  answers[1]?.resolve()
  await settled()
  expect(flushed).not.toHaveBeenCalled()
  answers[0]!.resolve()
  await settled()
  answers[1]!.resolve()
  await settled()
  expect(flushed).toHaveBeenCalledWith(true)
})

test('a cache that was made in a request outlives its deadline', async () => {
  const all = leased()
  await using _ = all
  const { caches } = context.run({ deadline: all.clock.monotonic() + 100 }, () => all.node())
  await all.clock.advance(1_000)
  const load = vi.fn(() => 1)
  await caches.scope('s').getOrSet('k', load)
  expect(await caches.scope('s').get('k')).toBe(1)
})
