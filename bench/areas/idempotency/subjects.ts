/** Libraries that make a call idempotent on Redis, each set up as its documentation says, and a call for all of them. */
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency'
import { CachePersistenceLayer } from '@aws-lambda-powertools/idempotency/cache'
import { createIdempotency, unwrap, type IdempotencyStore } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { Idempotency } from '@node-idempotency/core'
import { RedisStorageAdapter } from '@node-idempotency/storage-adapter-redis'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'

/** What every subject's work answers. */
export const ANSWER = { id: 'ch_0198f0c2', status: 'paid', cents: 990, currency: 'eur' }
/** A request's body; another one under the same key is a misuse. */
export type Body = Record<string, unknown>

/** A subject that is connected. */
export interface OpenSubject {
  /** One idempotent call; the work does nothing but answer. */
  call(key: string, body: Body): Promise<unknown>
  close(): Promise<void>
}

/** A library. */
export interface Subject {
  readonly name: string
  /** `prefix` is in front of its keys. */
  open(redisUrl: string, prefix: string): Promise<OpenSubject>
}

/** Ours, over both clients. */
const keelsonOnIoredis: Subject = {
  name: 'keelson run(), ioredis',
  async open(redisUrl, prefix) {
    const client = new Redis(redisUrl)
    return openKeelson(redisStore(client, { prefix }), () => client.disconnect())
  },
}

const keelsonOnNodeRedis: Subject = {
  name: 'keelson run(), node-redis',
  async open(redisUrl, prefix) {
    const client = await openNodeRedis(redisUrl)
    return openKeelson(redisStore(client as never, { prefix }), () => client.destroy())
  },
}

function openKeelson(store: IdempotencyStore, disconnect: () => void): OpenSubject {
  // A machine under load is no reason to give up a call.
  const idempotency = createIdempotency({ store, storeTimeout: '5s' })
  return {
    call: async (key, input) =>
      unwrap(await idempotency.run({ scope: 'public', op: 'pay', key, input }, async () => ANSWER)),
    async close() {
      await idempotency.close()
      disconnect()
    },
  }
}

type NodeRedis = ConstructorParameters<typeof CachePersistenceLayer>[0]['client'] & { destroy(): void }

async function openNodeRedis(url: string): Promise<NodeRedis> {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  return client as unknown as NodeRedis
}

const nodeIdempotency: Subject = {
  name: '@node-idempotency/core',
  async open(redisUrl, prefix) {
    const storage = new RedisStorageAdapter({ url: redisUrl })
    await storage.connect()
    const idempotency = new Idempotency(storage, { cacheKeyPrefix: prefix })
    return {
      async call(key, body) {
        const request = { method: 'POST', path: '/pay', headers: { 'idempotency-key': key }, body }
        const known = await idempotency.onRequest(request)
        if (known !== undefined) return known.body
        await idempotency.onResponse(request, { body: ANSWER, additional: { status: 201 } })
        return ANSWER
      },
      close: () => storage.disconnect(),
    }
  },
}

const powertools: Subject = {
  name: '@aws-lambda-powertools',
  async open(redisUrl, prefix) {
    const client = await openNodeRedis(redisUrl)
    const handler = makeIdempotent(async (_event: { key: string; body: Body }, _context: object) => ANSWER, {
      persistenceStore: new CachePersistenceLayer({ client }),
      // No payloadValidationJmesPath: over a cache, 2.35.0 keeps no hash with the answer, and every replay is refused.
      config: new IdempotencyConfig({ eventKeyJmesPath: 'key' }),
      keyPrefix: prefix,
    })
    return {
      call: (key, body) => handler({ key, body }, LAMBDA_CONTEXT),
      close: async () => client.destroy(),
    }
  },
}

/** What it asks of Lambda: how long an attempt may take. */
const LAMBDA_CONTEXT = {
  functionName: 'pay',
  memoryLimitInMB: '128',
  invokedFunctionArn: 'arn',
  awsRequestId: 'id',
  getRemainingTimeInMillis: () => 15_000,
}

export const subjects: readonly Subject[] = [keelsonOnIoredis, keelsonOnNodeRedis, nodeIdempotency, powertools]
