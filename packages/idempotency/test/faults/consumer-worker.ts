import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createIdempotency, type Consumed, type Idempotency, type IdempotencyStore } from '@keelson/idempotency'
import { openStore, type StoreKind } from './open-store.ts'

/** What travels in the queue. */
export interface Message {
  readonly id: string
  readonly guarantee?: 'at-most-once'
}

/** What a consumer says: a message has begun, or what became of it. */
export interface ConsumerSays {
  readonly id: string
  readonly began?: { readonly attempt: number; readonly fence: bigint; readonly checkpoint: unknown }
  readonly ended?: Consumed
}

/**
 * A consumer of a queue that delivers at least once: a message stays in the list of its consumer until it is
 * acknowledged, and whoever finds it there after a death puts it back. `HOLD_MS` is how long a message takes.
 */
const { STORE = '', STORE_URL = '', SPACE = '', QUEUE_URL = '', QUEUE = '', LEASE_MS, HOLD_MS } = process.env
const { store } = await openStore(STORE as StoreKind, STORE_URL, SPACE)
const idempotency: Idempotency = createIdempotency<IdempotencyStore>({
  store,
  storeTimeout: '30s',
  wait: 0,
  lease: Number(LEASE_MS),
})
const queue = new Redis(QUEUE_URL)
const mine = `${QUEUE}:${process.pid}`
const say = (said: ConsumerSays): void => void process.send?.(said)

process.on('disconnect', () => process.exit())
process.send?.({ ready: true })

for (;;) {
  const taken = await queue.blmove(QUEUE, mine, 'RIGHT', 'LEFT', 0)
  if (taken === null) continue
  const { id, guarantee } = JSON.parse(taken) as Message
  const call = { scope: 'm1', op: 'mail', key: id, ...(guarantee === undefined ? {} : { guarantee }) }
  const ended = await idempotency.consume(call, async (x) => {
    const { attempt, fence, checkpoint } = x
    await x.save('charged', { by: process.pid })
    say({ id, began: { attempt, fence, checkpoint } })
    await sleep(Number(HOLD_MS))
  })
  if (typeof ended === 'object' && 'busy' in ended) {
    await sleep(ended.busy)
    await queue.lmove(mine, QUEUE, 'RIGHT', 'LEFT')
  } else {
    await queue.lrem(mine, 1, taken)
  }
  say({ id, ended })
}
