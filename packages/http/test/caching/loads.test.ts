import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { createCache, memoryStore, type Caches } from '@keelson/cache'
import { createHttp, type CachedRule, type StoredResponse } from '@keelson/http'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, headerOf, recordingLogger, type TestExchange } from '../support.ts'

const opened: Caches[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

/** A cached route, and requests up to their handlers. */
function world(rule: Partial<CachedRule> = {}) {
  const clock = virtualClock()
  const logger = recordingLogger()
  const cache = createCache({ name: 'app', store: memoryStore({ clock }), clock, jitter: 0, early: 0 })
  opened.push(cache)
  const http = createHttp({ cache, scope: () => 'm1', clock, logger })
  const route = http.compile({ cached: { ttl: '10m', per: 'scope', tags: ['texts'], ...rule } })
  const scope = cache.scope('m1')

  /** A request: its handler runs when it `isCaptured`; else it waits, or `instead` is there. */
  async function ask(given: Parameters<typeof exchange>[0] = {}): Promise<Asked> {
    const x = exchange({ method: 'GET', ...given })
    http.begin(x)
    const asked: Asked = { x, instead: undefined, isPassed: false }
    const late = route.late(x).then((answer) => {
      asked.instead = answer
      asked.isPassed = answer === undefined
    })
    late.catch(() => {})
    // Its rules are loaded.
    await import('../../src/caching/index.ts')
    await settled()
    return asked
  }
  return { clock, logger, scope, ask }
}

interface Asked {
  readonly x: TestExchange
  instead: StoredResponse | undefined
  isPassed: boolean
}

/** Whatever can happen without time has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn()
}

/** The handler answers; resolves with what `Cache-Status` says. */
async function answer({ x }: Asked, body: string, status = 200): Promise<unknown> {
  const instead = await x.answered({
    kind: 'whole',
    before: [],
    response: { status, headers: [], body: Buffer.from(body) },
  })
  if (instead !== undefined) return headerOf(instead, 'cache-status')
  x.headLeaves(status, [])
  return x.answerHeaders['cache-status']
}

const running = (all: readonly Asked[]): number => all.filter(({ x }) => x.isCaptured).length
const bodyOf = ({ instead }: Asked): string => Buffer.from(instead!.body).toString()

describe('a load whose client leaves', () => {
  it('goes on by one who waits; the first answer of the two is that of all', async () => {
    for (const winner of [0, 1]) {
      const { ask } = world()
      const all = [await ask(), await ask(), await ask(), await ask()]
      expect(running(all)).toBe(1)
      all[0]!.x.leave()
      await settled()
      expect(all.map(({ x }) => x.isCaptured)).toEqual([true, true, false, false])
      expect(await answer(all[winner]!, 'first')).toBe('keelson; fwd=uri-miss; stored')
      await settled()
      expect(all.slice(2).map(bodyOf)).toEqual(['first', 'first'])
      // Bytes of its own, which are not those that are kept.
      expect(await answer(all[1 - winner]!, 'second')).toBe('keelson; fwd=uri-miss')
      const again = await ask()
      expect(bodyOf(again)).toBe('first')
      const etag = headerOf(again.instead!, 'etag')!
      expect((await ask({ headers: [['If-None-Match', etag]] })).instead?.status).toBe(304)
      expect(all[1 - winner]!.x.answerHeaders['etag']).not.toBe(etag)
    }
  })

  it('is for the next one who comes, when nobody waits', async () => {
    const { ask, scope } = world()
    const first = await ask()
    first.x.leave()
    const second = await ask()
    expect(second.x.isCaptured).toBe(true)
    const third = await ask()
    expect(third.x.isCaptured).toBe(false)
    await answer(second, 'text')
    await settled()
    expect(bodyOf(third)).toBe('text')
    await scope.invalidate('texts')
    expect((await ask()).x.isCaptured).toBe(true)
  })

  it('has another handler only for a client that is there', async () => {
    const { ask } = world()
    const all = [await ask(), await ask(), await ask()]
    all[1]!.x.leave()
    all[0]!.x.leave()
    await settled()
    expect(all.map(({ x }) => x.isCaptured)).toEqual([true, false, true])
  })

  it('does not fail for the others, when its handler breaks off behind its client', async () => {
    const { ask } = world()
    const all = [await ask(), await ask(), await ask()]
    all[0]!.x.leave()
    await settled()
    void all[0]!.x.answered({ kind: 'abandoned' })
    await settled()
    expect(all[2]!.isPassed).toBe(false)
    await answer(all[1]!, 'text')
    await settled()
    expect(bodyOf(all[2]!)).toBe('text')
  })

  it('has four handlers at most; when all clients have left it is given up, and one of the others begins anew', async () => {
    const { ask, clock, logger } = world()
    const all: Asked[] = []
    for (let i = 0; i < 10; i++) all.push(await ask())
    for (let i = 0; i < 4; i++) {
      all.find(({ x }) => x.isCaptured && !x.signal.aborted)!.x.leave()
      await settled()
      expect(running(all)).toBe(Math.min(i + 2, 4))
    }
    await clock.advance('5s')
    await settled()
    expect(running(all)).toBe(5)
    expect(new Set(logger.warnings)).toContain('the client left, and the handler never ended its answer')
    await answer(all[4]!, 'text')
    await settled()
    expect(all.slice(5).map(bodyOf)).toEqual(Array(5).fill('text'))
  })
})

describe('Cache-Status', () => {
  it('says nothing of a fill that was refused: something was dropped meanwhile', async () => {
    const { ask, scope } = world()
    const first = await ask()
    await scope.invalidate('texts')
    expect(await answer(first, 'old')).toBe('keelson; fwd=uri-miss')
    const second = await ask({ headers: [['If-None-Match', '*']] })
    expect(second.x.isCaptured).toBe(true)
  })

  it('says stale to a crowd that is given stale data while one makes new', async () => {
    const { ask, scope } = world({ grace: '1h' })
    await answer(await ask(), 'old')
    await scope.expire('texts')
    const first = await ask()
    expect(first.x.isCaptured).toBe(true)
    const second = await ask()
    expect([bodyOf(second), headerOf(second.instead!, 'cache-status')]).toEqual(['old', 'keelson; fwd=stale'])
    // Nobody who could have stale data runs in place of one who has left.
    first.x.leave()
    expect((await ask()).x.isCaptured).toBe(false)
  })
})
