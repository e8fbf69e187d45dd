import { afterEach, describe, expect, it, vi } from 'vitest'
import { createCache, type Caches } from '@keelson/cache'
import { createHttp } from '@keelson/http'
import type { Captured } from '@keelson/http'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, recordingLogger, type TestExchange } from '../support.ts'

const opened: Caches[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

async function world() {
  const clock = virtualClock()
  const logger = recordingLogger()
  const cache = createCache({ name: 'app' })
  opened.push(cache)
  const http = createHttp({ cache, scope: () => 'm1', clock, logger })
  const route = http.compile({ invalidates: ['texts'] })
  const scope = cache.scope('m1')
  await scope.set('text', 'old', { ttl: '10m', tags: ['texts'] })
  /** A write whose handler runs. */
  async function write(): Promise<TestExchange> {
    const x = exchange()
    http.begin(x)
    await route.late(x)
    return x
  }
  return { clock, logger, write, isDropped: async () => (await scope.get('text')) === undefined }
}

const answered = (status: number): Captured => ({
  kind: 'whole',
  before: [],
  response: { status, headers: [], body: new Uint8Array(0) },
})
const LEFT = 'the client left, and the handler never ended its answer'
const BROKEN = 'broken off, and so nothing is invalidated'

describe('a write whose client leaves', () => {
  it('drops as soon as its handler has ended, however late', async () => {
    const { clock, logger, write, isDropped } = await world()
    const x = await write()
    x.leave()
    await clock.advance('4s')
    expect(logger.warnings).toEqual([])
    await clock.advance('1s')
    // Nobody knows what it has written.
    expect([logger.warnings, await isDropped()]).toEqual([[LEFT], false])
    await x.answered(answered(201))
    await vi.waitFor(async () => expect(await isDropped()).toBe(true), { timeout: 30_000 })
    expect(logger.warnings).toEqual([LEFT])
  })

  it('and whose handler breaks off, or fails, drops nothing, and a line says so', async () => {
    for (const captured of [{ kind: 'abandoned' } as const, answered(500)]) {
      const { clock, logger, write, isDropped } = await world()
      const x = await write()
      x.leave()
      await x.answered(captured)
      await clock.advance('10s')
      expect([logger.warnings, await isDropped()]).toEqual([[BROKEN], false])
    }
  })
})

it.each<[string, Captured, readonly string[]]>([
  ['that breaks off is told', { kind: 'abandoned' }, [BROKEN]],
  ['whose handler was never called is not', { kind: 'abandoned', hasBegun: false }, []],
  ['that fails is not: its request says so', answered(500), []],
])('a write %s', async (_, captured, warnings) => {
  const { logger, write, isDropped } = await world()
  await (await write()).answered(captured)
  expect([logger.warnings, await isDropped()]).toEqual([warnings, false])
})
