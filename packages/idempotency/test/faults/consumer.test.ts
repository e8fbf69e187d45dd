import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { ConsumerSays, Message } from './consumer-worker.ts'
import type { StoreKind } from './open-store.ts'
import { startStand, type Stand } from './stand.ts'

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6', 'Postgres']
/** Longer than a machine stands still: whoever gets the message next finds it busy. */
const LEASE_MS = 9_000

let broker: PrivateServer
let queue: Redis
beforeAll(async () => {
  broker = await startRedis()
  queue = new Redis(broker.url)
})
afterAll(async () => {
  queue.disconnect()
  await broker.stop()
})

interface Consumer {
  readonly said: ConsumerSays[]
  next(which: (said: ConsumerSays) => boolean): Promise<ConsumerSays>
  readonly worker: WorkerProcess<never, ConsumerSays>
}

describe.concurrent.each(kinds)('%s: a consumer that is killed in the middle of a message', (kind) => {
  let stand: Stand
  beforeAll(async () => {
    stand = await startStand(kind)
  })
  afterAll(() => stand[Symbol.asyncDispose]())

  async function startConsumer(queueName: string, holdMs: number): Promise<Consumer> {
    const worker = await startWorker<never, ConsumerSays>(new URL('./consumer-worker.ts', import.meta.url), {
      STORE: kind,
      STORE_URL: stand.url,
      SPACE: stand.space,
      QUEUE_URL: broker.url,
      QUEUE: queueName,
      LEASE_MS: String(LEASE_MS),
      HOLD_MS: String(holdMs),
    })
    const said: ConsumerSays[] = []
    const waiting = new Set<() => void>()
    worker.onMessage((message) => {
      said.push(message)
      for (const look of waiting) look()
    })
    let seen = 0
    const next: Consumer['next'] = (which) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = said.findIndex((each, i) => i >= seen && which(each))
          if (found < 0) return
          seen = found + 1
          waiting.delete(look)
          resolve(said[found]!)
        }
        waiting.add(look)
        look()
        void worker.ended.then((how) => reject(new Error(`the consumer ended first: ${how}`)))
      })
    return { said, next, worker }
  }
  const began = (said: ConsumerSays): boolean => said.began !== undefined
  const ended = (said: ConsumerSays): boolean => said.ended !== undefined

  async function killedInTheMiddle(queueName: string, message: Message) {
    const first = await startConsumer(queueName, 60_000)
    const second = await startConsumer(`${queueName}:again`, 10)
    await queue.lpush(queueName, JSON.stringify(message))
    const { began: begun } = await first.next(began)
    await first.worker.kill()
    // What the queue does when a consumer does not answer any more.
    await queue.lmove(`${queueName}:${first.worker.pid}`, `${queueName}:again`, 'RIGHT', 'LEFT')
    return { begun: begun!, second, pid: first.worker.pid }
  }

  test.concurrent('leaves a message that is busy for the rest of its lease, then goes on from its checkpoint, once', async () => {
    const name = `queue-${randomUUID()}`
    const message = { id: randomUUID() }
    const { begun, second, pid } = await killedInTheMiddle(name, message)
    expect(begun).toMatchObject({ attempt: 1, checkpoint: undefined })

    const { ended: told } = await second.next(ended)
    expect(told).toEqual({ busy: expect.any(Number) })
    const { busy } = told as { busy: number }
    expect(busy).toBeGreaterThan(0)
    expect(busy).toBeLessThanOrEqual(LEASE_MS)

    const again = await second.next(began)
    expect(again.began).toMatchObject({ attempt: 2, checkpoint: { name: 'charged', data: { by: pid } } })
    expect(again.began!.fence).toBeGreaterThan(begun.fence)
    expect((await second.next(ended)).ended).toBe('processed')

    await queue.lpush(`${name}:again`, JSON.stringify(message))
    expect((await second.next(ended)).ended).toBe('duplicate')
    expect(second.said.filter(began)).toHaveLength(1)
    expect(await queue.llen(`${name}:again:${second.worker.pid}`)).toBe(0)
    await second.worker.kill()
  })

  test.concurrent('at most once: leaves a message for a person', async () => {
    const name = `queue-${randomUUID()}`
    const message = { id: randomUUID(), guarantee: 'at-most-once' as const }
    const { second } = await killedInTheMiddle(name, message)
    expect((await second.next(ended)).ended).toEqual({ busy: expect.any(Number) })
    expect((await second.next(ended)).ended).toEqual({ unknown: true })
    expect(second.said.filter(began)).toEqual([])
    await second.worker.kill()
  })
})
