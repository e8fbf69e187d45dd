import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import type { PlanRoute, Served } from '@keelson/http/conformance'
import { createIdempotency, type Idempotency, type IdempotencyOptions } from '@keelson/idempotency'
import { startRedis, stopAtOnce, type RedisServer } from '../../../tools/servers/redis.ts'
import { expressSubject } from '../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../adapters-express/test/support.ts'
import { fastifySubject } from '../../adapters-fastify/test/fastify-subject.ts'
import { nestSubject } from '../../adapters-nest/test/nest-subject.ts'
import { platforms } from '../../adapters-nest/test/platforms.ts'
import { openRedis, type OpenStore } from './stores.ts'

const subjects = [expressSubject(frameworks[0]!), fastifySubject, ...platforms.map(nestSubject)]
/** What was acknowledged is on disk. */
const settings = { appendonly: 'yes', appendfsync: 'always' }
const faults = [
  {
    fault: 'is frozen',
    hurt: async (server: RedisServer) => server.freeze(),
    heal: async (server: RedisServer) => server.thaw(),
  },
  { fault: 'is killed', hurt: (server: RedisServer) => server.kill(), heal: (server: RedisServer) => server.restart() },
]

interface Counted extends PlanRoute {
  runs: number
}

/** A route of its own, so that its runs are those of one key. */
function counted(path: string): Counted {
  const made: Counted = {
    method: 'POST',
    path,
    kind: 'json',
    policy: { idempotent: { required: true } },
    runs: 0,
    async enter() {
      made.runs++
    },
    async *pieces() {},
  }
  return made
}

describe.each(subjects)('behind $name', (subject) => {
  let server: RedisServer
  let opened: OpenStore
  beforeAll(async () => {
    server = await startRedis({ settings })
    opened = openRedis(server.url)
  })
  afterAll(async () => {
    await opened.close()
    await stopAtOnce(server)
  })

  describe.each(faults)('a Redis that $fault', ({ fault, hurt, heal }) => {
    const before = counted('/before')
    const meanwhile = counted('/meanwhile')
    const through = counted('/through')
    const bare = counted('/bare')
    const cores: Idempotency[] = []
    let strict: Served
    let lax: Served

    // A machine that is busy with other tests is no dead store.
    async function serve(core: Partial<IdempotencyOptions> = {}): Promise<Served> {
      const idempotency = createIdempotency({
        store: opened.store,
        storeTimeout: '5s',
        wait: '1m',
        lease: '1m',
        ...core,
      })
      cores.push(idempotency)
      return subject.start([before, meanwhile, through, bare], createHttp({ idempotency, scope: () => fault }))
    }
    beforeAll(async () => {
      strict = await serve()
      lax = await serve({ onStoreDown: 'run-unprotected' })
    })
    afterAll(async () => {
      await Promise.all([strict.close(), lax.close()])
      await Promise.all(cores.map((core) => core.stop({ drain: 0 })))
    })

    async function call({ path }: PlanRoute, { url } = strict) {
      const headers = { 'Idempotency-Key': 'k', 'Content-Type': 'application/json' }
      const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: '{}' })
      return {
        status: answer.status,
        code: ((await answer.json()) as { code?: string }).code,
        type: answer.headers.get('content-type')?.split(';')[0],
        retryAfter: answer.headers.get('retry-after'),
        said: answer.headers.get('idempotency-status'),
        isReplayed: answer.headers.has('idempotent-replayed'),
      }
    }

    /** Until the store is seen to be back: a probe a second, and a claim that came late is given up first. */
    async function callAgain(route: PlanRoute): ReturnType<typeof call> {
      for (;;) {
        const answer = await call(route)
        if (answer.status !== 503 && answer.status !== 409) return answer
        await sleep(50)
      }
    }

    it('is told in each answer, lets work that began end, and each key has run once when it is back', async () => {
      expect(await call(before)).toMatchObject({ status: 201, isReplayed: false })
      const entered = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      through.enter = async () => {
        through.runs++
        entered.resolve()
        await go.promise
      }
      const working = call(through)
      await entered.promise

      await hurt(server)
      const unprotected = call(bare, lax)
      const refused = await Promise.all(
        [before, ...Array.from({ length: 10 }, () => meanwhile)].map((one) => call(one)),
      )
      for (const one of refused) {
        expect(one).toMatchObject({ status: 503, code: 'store-unavailable', type: 'application/problem+json' })
        expect(Number(one.retryAfter)).toBeGreaterThanOrEqual(1)
      }
      expect([before.runs, meanwhile.runs]).toEqual([1, 0])
      expect(await unprotected).toMatchObject({ status: 201, said: 'unprotected' })
      go.resolve()
      expect(await working).toMatchObject({ status: 201, isReplayed: false })

      await heal(server)
      const back = await Promise.all([meanwhile, meanwhile, before, through].map((one) => callAgain(one)))
      expect(back.map(({ status }) => status)).toEqual([201, 201, 201, 201])
      expect(back.map(({ isReplayed }) => isReplayed).toSorted()).toEqual([false, true, true, true])
      expect([before.runs, meanwhile.runs, through.runs, bare.runs]).toEqual([1, 1, 1, 1])
    })
  })
})
