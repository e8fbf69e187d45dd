import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../tools/servers/ask-redis.ts'
import { startPostgres, type PostgresServer } from '../../../tools/servers/postgres.ts'
import { startRedis, type RedisServer } from '../../../tools/servers/redis.ts'
import { FRAMEWORKS, type Framework } from '../src/environment.ts'
import { openStory } from '../src/story.ts'

const LONG = process.env['LONG'] === '1'
// Its own: other tests book for the same merchants, and a cache would know an earlier database's lists.
let postgres: PostgresServer
let redis: RedisServer

beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
})
afterAll(async () => void (await Promise.all([postgres.stop(), redis.stop()])))

const places = {
  embedded: () => ({}),
  'on Postgres': () => ({ databaseUrl: postgres.url }),
  'on Postgres and Redis': () => ({ databaseUrl: postgres.url, redisUrl: redis.url }),
}
/** Every framework leads once on the embedded stores, and another one on each kind of servers; with LONG=1 each. */
const stages = Object.entries(places).flatMap(([where, place], at) =>
  FRAMEWORKS.filter((_, i) => LONG || at === 0 || i === at - 1).map((first): [Framework, string, typeof place] => [
    first,
    where,
    place,
  ]),
)

describe.each(stages)('the story, %s first, %s', (first, _, place) => {
  test('every step holds', async () => {
    const story = await openStory({ ...place(), first })
    try {
      for (const step of story.steps) await expect(step.run(), step.name).resolves.toBeUndefined()
    } finally {
      await story.close()
    }
  })
})

test('the nodes that had a Redis kept their lists there', async () => {
  expect(await askRedis(redis.url, 'DBSIZE')).toBeGreaterThan(0)
})
