/** One of two processes with callers of the same key. Instants are ms of the monotonic clock, which all processes share. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createIdempotency, unwrap } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { Idempotency } from '@node-idempotency/core'
import { RedisStorageAdapter } from '@node-idempotency/storage-adapter-redis'
import { Redis } from 'ioredis'
import { serveParent } from '../../src/child.ts'
import { ANSWER } from './subjects.ts'

type Question =
  | { what: 'own'; key: string }
  | { what: 'wait'; key: string; count: number }
  | { what: 'finish' | 'answers' }
type Call = (key: string, work: () => Promise<object>) => Promise<unknown>

/** Time for all waiters to be asleep, so that only their waking counts. */
const SETTLE_MS = 150
const [kind, redisUrl, prefix] = process.argv.slice(2) as [string, string, string]
const call = kind === 'keelson' ? openKeelson() : await openPeer()
let finish: (() => void) | undefined
let owned: Promise<number> | undefined
let waiting: Promise<number[]> | undefined

serveParent(async (question: Question) => {
  switch (question.what) {
    case 'own': {
      const finished = new Promise<void>((resolve) => (finish = resolve))
      const begun = Promise.withResolvers<void>()
      const work = async (): Promise<object> => {
        begun.resolve()
        await finished
        return ANSWER
      }
      owned = call(question.key, work).then(nowMs)
      return begun.promise
    }
    case 'wait': {
      const never = (): Promise<never> => Promise.reject(new Error('a duplicate ran'))
      waiting = Promise.all(Array.from({ length: question.count }, () => call(question.key, never).then(nowMs)))
      return sleep(SETTLE_MS)
    }
    case 'finish':
      finish!()
      return owned
    case 'answers':
      return waiting
  }
})

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function openKeelson(): Call {
  const store = redisStore(new Redis(redisUrl), { prefix })
  const idempotency = createIdempotency({ store, wait: '30s', storeTimeout: '5s', maxWaiters: { perKey: 1000 } })
  return async (key, work) => unwrap(await idempotency.run({ scope: 'public', op: 'pay', key }, work))
}

async function openPeer(): Promise<Call> {
  const storage = new RedisStorageAdapter({ url: redisUrl })
  await storage.connect()
  const idempotency = new Idempotency(storage, { cacheKeyPrefix: prefix, inProgressStrategy: { wait: true } })
  return async (key, work) => {
    const request = { method: 'POST', path: '/pay', headers: { 'idempotency-key': key }, body: {} }
    const known = await idempotency.onRequest(request)
    if (known !== undefined) return known
    await idempotency.onResponse(request, { body: await work() })
  }
}
