import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { createIdempotency, type Idempotency, type IdempotencyStore } from '@keelson/idempotency'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { openStore, type StoreKind } from './open-store.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6']

/** Redis as it comes keeps nothing over a restart but what its last snapshot had. */
test.concurrent.each(kinds)(
  '%s: a work whose record the store has lost meanwhile comes back with its value, which is stored again',
  async (kind) => {
    await using opened = new AsyncDisposableStack()
    const server = opened.use(await startRedis())
    const space = `faults_${randomBytes(4).toString('hex')}`
    const open = async (): Promise<Idempotency> => {
      const { store } = opened.use(await openStore(kind, server.url, space))
      return opened.use(createIdempotency<IdempotencyStore>({ store, storeTimeout: '30s', lease: '2m' }))
    }
    const [owner, other] = await Promise.all([open(), open()])
    const call = { scope: 'm1', op: 'POST /charges', key: randomUUID() }
    const outcome = await owner.run(call, async () => {
      await server.kill()
      await server.restart()
      await until('the server is heard', 60_000, () => other.find(call).then((found) => ({ found })))
      return 'charged'
    })
    expect(outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, attempt: 1, value: 'charged' })
    expect(await other.run(call, async () => 'second')).toMatchObject({ ok: true, kind: 'replayed', value: 'charged' })
  },
)
