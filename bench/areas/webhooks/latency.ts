import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWebhooks } from '@keelson/webhooks'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { quantile } from '../../src/statistics.ts'
import { handWritten, newName, postgresOf, redisOf, SCOPE, type OpenStore } from './couriers.ts'
import { nowMs } from './now.ts'

/** One event at a time to a receiver's `/timed`. */
interface Sender {
  /** Resolves when it has been delivered. */
  send(sentMs: number): Promise<unknown>
  close(): Promise<void>
}

const REDIS = 'keelson, Redis'
const POSTGRES = 'keelson, Postgres with LISTEN'
const BULLMQ = 'bullmq 6.7.0'
const IDLE_MS = 20

/** How long an event is under way when there is nothing else to do. */
export function latency(services: Services): Case[] {
  const contender = (name: string, open: (url: string) => Promise<Sender>): Contender => ({
    name,
    async open() {
      const receiver = await startChild(new URL('receiver.ts', import.meta.url), [])
      const sender = await open(await receiver.ask<string>({ kind: 'url' }))
      return {
        async run(forMs) {
          const untilMs = performance.now() + forMs
          await receiver.ask({ kind: 'delays' })
          while (performance.now() < untilMs) {
            await sender.send(nowMs())
            await sleep(IDLE_MS)
          }
          const delaysMs = await receiver.ask<number[]>({ kind: 'delays' })
          return { 'p50 ms': quantile(delaysMs, 0.5), 'p99 ms': quantile(delaysMs, 0.99) }
        },
        async close() {
          await sender.close()
          await receiver.stop()
        },
      }
    },
  })
  return [
    {
      name: 'from send to the attempt, one event at a time',
      note: 'until the receiver has the head of the request; another event 20 ms after the last one',
      base: BULLMQ,
      runMs: 3_000,
      contenders: [
        contender(REDIS, async (url) => keelson(url, await redisOf(services))),
        contender(POSTGRES, async (url) => keelson(url, await postgresOf(services))),
        contender(BULLMQ, (url) => bullmq(url, services)),
      ],
      targets: [
        { of: REDIS, figure: 'p50 ms', over: BULLMQ, atMost: 1.5 },
        { of: POSTGRES, figure: 'p99 ms', atMost: 25 },
      ],
    },
  ]
}

async function keelson(url: string, { store, end }: OpenStore): Promise<Sender> {
  const webhooks = createWebhooks({
    store,
    encryption: [{ id: 'k1', key: randomBytes(32) }],
    network: { allow: ['127.0.0.1/32'], httpsOnly: false },
    storeTimeout: '10s',
  })
  await webhooks.endpoints.create({ scope: SCOPE, url: `${url}/timed` })
  let delivered = (): void => {}
  webhooks.on('delivery.succeeded', () => delivered())
  await webhooks.start()
  return {
    async send(sentMs) {
      const done = new Promise<void>((resolve) => (delivered = resolve))
      await webhooks.send('x.timed', { sentMs }, { scope: SCOPE })
      await done
    },
    async close() {
      await webhooks.close()
      await end()
    },
  }
}

async function bullmq(url: string, services: Services): Promise<Sender> {
  const { post, close } = handWritten(`${url}/timed`)
  const name = newName(services)
  const connection = new Redis(await services.redisUrl(), { maxRetriesPerRequest: null })
  const queue = new Queue(name, { connection })
  let delivered = (): void => {}
  const worker = new Worker<{ body: string }>(name, ({ data: { body } }) => post(0, body), { connection })
  worker.on('completed', () => delivered())
  await worker.waitUntilReady()
  return {
    async send(sentMs) {
      const done = new Promise<void>((resolve) => (delivered = resolve))
      await queue.add('deliver', { body: JSON.stringify({ sentMs }) }, { attempts: 10 })
      await done
    },
    async close() {
      await worker.close()
      await queue.close()
      await connection.quit()
      await close()
    },
  }
}
