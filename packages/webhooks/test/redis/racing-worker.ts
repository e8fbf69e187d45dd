import { Redis } from 'ioredis'
import type { Claim, Settlement } from '@keelson/webhooks'
import { redisStore } from '@keelson/webhooks/redis'

/**
 * Claims and settles until it is told to stop, and keeps a book beside the store: an entry is made behind a claim and
 * taken out before its settle, so what the book holds is never more than what is claimed.
 */
const { REDIS_URL = '', PREFIX = '', CONCURRENCY = '' } = process.env
const client = new Redis(REDIS_URL)
const store = redisStore(client, { prefix: PREFIX })
const book = `${PREFIX}:book`
const faults: string[] = []
let claimed = 0
const over = new AbortController()

const keyOf = ({ token, event }: Claim): string => `${token.endpoint} ${event.key}`

async function enter(claim: Claim): Promise<void> {
  const { delivery, endpoint, fence } = claim.token
  if (claimed++ === 0) process.send?.('takes part')
  if ((await client.sadd(`${book}:open`, delivery)) === 0) faults.push(`${delivery} is claimed twice`)
  if ((await client.sadd(`${book}:keys`, keyOf(claim))) === 0) faults.push(`two of ${keyOf(claim)} at once`)
  if ((await client.sadd(`${book}:fences`, `${delivery} ${fence}`)) === 0) faults.push(`${delivery}: a fence again`)
  const open = await client.hincrby(`${book}:lanes`, endpoint, 1)
  if (open > Number(CONCURRENCY)) faults.push(`${open} of ${endpoint} at once`)
}

async function leave(claim: Claim): Promise<Settlement> {
  const { token, event } = claim
  const chance = Math.random()
  const attempt = { durationMs: 1, status: 200, remoteAddress: null, response: '', error: null }
  if (chance < 0.7) await client.rpush(`${book}:done:${keyOf(claim)}`, event.id)
  await client.hincrby(`${book}:lanes`, token.endpoint, -1)
  await client.srem(`${book}:keys`, keyOf(claim))
  await client.srem(`${book}:open`, token.delivery)
  if (chance < 0.7) {
    const signal = { kind: 'success', fast: true } as const
    return { token, attempt: { ...attempt, outcome: 'success' }, end: { kind: 'succeeded' }, signal }
  }
  const later = { kind: 'retry', afterMs: Math.floor(Math.random() * 20) } as const
  if (chance < 0.9) {
    return { token, attempt: { ...attempt, outcome: 'status' }, end: later, signal: { kind: 'failure' } }
  }
  return { token, attempt: null, end: { kind: 'release', afterMs: 0 }, signal: { kind: 'none' } }
}

async function race(): Promise<void> {
  while (!over.signal.aborted) {
    const suspects = Math.random() < 0.5
    const claims = await store.claim({ limit: 5, owner: `${process.pid}`, suspects, handlers: [] })
    await Promise.all(claims.map(enter))
    if (Math.random() < 0.05) await store.slow(claims.slice(0, 1).map(({ token }) => token))
    await store.reap(10)
    const told = await store.settle(await Promise.all(claims.map(leave)))
    for (const [i, { kind }] of told.entries()) {
      if (kind !== 'ok') faults.push(`a settle of ${claims[i]!.token.delivery} is ${kind}`)
    }
  }
}

process.on('disconnect', () => process.exit())
const racing = Promise.all([race(), race()])
process.on('message', () => {
  over.abort()
  void racing.then(() => process.send?.({ claimed, faults }))
})
process.send?.({ ready: true })
