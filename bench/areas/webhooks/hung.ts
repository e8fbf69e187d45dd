import { setTimeout as sleep } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { quantile } from '../../src/statistics.ts'
import { CONCURRENCY, ENDPOINTS, handWritten, newName, SCOPE } from './couriers.ts'
import { openKeelson, type Kind } from './hung-keelson.ts'
import { nowMs } from './now.ts'

/** Takes one event for each of some endpoints. */
interface Nodes {
  send(endpoints: readonly number[], sentMs: number): Promise<unknown>
  close(): Promise<void>
}

type OpenNodes = (url: string, hung: number) => Promise<Nodes>

/** Events a second, for the endpoints in turn. */
const RATE = 200
const EVERY_MS = 50
/** Behind the last event, for what is still under way. */
const TAIL_MS = 2_000

const healthy = (name: string): string => `${name}, none hangs`

/** Half of the endpoints hang for as long as an attempt may take. */
export function hung(services: Services): Case[] {
  const contender = (name: string, hanging: number, open: OpenNodes): Contender => ({
    name,
    async open() {
      const receiver = await startChild(new URL('receiver.ts', import.meta.url), [])
      const nodes = await open(await receiver.ask<string>({ kind: 'url' }), hanging)
      let next = 0
      return {
        async run(forMs) {
          await receiver.ask({ kind: 'delays' })
          const some = (RATE * EVERY_MS) / 1_000
          let sent = 0
          for (const untilMs = performance.now() + forMs; performance.now() < untilMs; await sleep(EVERY_MS)) {
            const endpoints = Array.from({ length: some }, () => next++ % ENDPOINTS)
            sent += endpoints.filter((endpoint) => endpoint >= hanging).length
            await nodes.send(endpoints, nowMs())
          }
          await sleep(TAIL_MS)
          const delaysMs = await receiver.ask<number[]>({ kind: 'delays' })
          // What never arrived was at least so late.
          const late = Array.from({ length: Math.max(0, sent - delaysMs.length) }, () => forMs + TAIL_MS)
          return { 'p99 ms': quantile([...delaysMs, ...late], 0.99), 'arrived %': (delaysMs.length / sent) * 100 }
        },
        async close() {
          await nodes.close()
          await receiver.stop()
        },
      }
    },
  })
  const pair = (name: string, open: OpenNodes): Contender[] => [
    contender(name, ENDPOINTS / 2, open),
    contender(healthy(name), 0, open),
  ]
  const ours = (kind: Kind, nodes: number): OpenNodes => {
    return (url, hanging) => keelson(services, kind, nodes, url, hanging)
  }
  const kinds = [
    ['keelson, Redis, 1 node', ours('redis', 1)],
    ['keelson, Redis, 4 nodes', ours('redis', 4)],
    ['keelson, Postgres, 1 node', ours('postgres', 1)],
    ['keelson, Postgres, 4 nodes', ours('postgres', 4)],
  ] as const
  return [
    {
      name: `${ENDPOINTS / 2} of ${ENDPOINTS} endpoints hang: how late the others get theirs`,
      note: `${RATE} events a second for the endpoints in turn; what has not come ${TAIL_MS / 1_000} s behind the last one counts as lost until then`,
      runMs: 3_000,
      warmUpMs: 3_000,
      contenders: [
        ...kinds.flatMap(([name, open]) => pair(name, open)),
        ...pair('bullmq 6.7.0, one queue', (url, hanging) => bullmq(services, url, hanging)),
      ],
      targets: kinds.map(([name]) => ({ of: name, figure: 'p99 ms', over: healthy(name), atMost: 3 })),
    },
  ]
}

/** Where an endpoint is: the first ones hang. */
const pathOf = (endpoint: number, hanging: number): string => (endpoint < hanging ? '/hung' : '/timed')

async function keelson(services: Services, kind: Kind, nodes: number, url: string, hanging: number): Promise<Nodes> {
  const place = newName(services)
  const storeUrl = await (kind === 'redis' ? services.redisUrl() : services.databaseUrl())
  const { webhooks, end } = await openKeelson(kind, storeUrl, place)
  for (let i = 0; i < ENDPOINTS; i++) {
    await webhooks.endpoints.create({ scope: SCOPE, url: `${url}${pathOf(i, hanging)}/e${i}`, types: [`to.e${i}`] })
  }
  const module = new URL('node-process.ts', import.meta.url)
  const children = await Promise.all(Array.from({ length: nodes }, () => startChild(module, [kind, storeUrl, place])))
  return {
    send: (endpoints, sentMs) =>
      webhooks.sendMany(endpoints.map((i) => ({ type: `to.e${i}`, data: { sentMs }, scope: SCOPE }))),
    async close() {
      for (const child of children) {
        await child.ask({ kind: 'stop' })
        await child.stop()
      }
      await webhooks.close()
      await end()
    },
  }
}

async function bullmq(services: Services, url: string, hanging: number): Promise<Nodes> {
  const name = newName(services)
  const posts = ['/hung', '/timed'].map((path) => handWritten(`${url}${path}`))
  const connection = new Redis(await services.redisUrl(), { maxRetriesPerRequest: null })
  const queue = new Queue(name, { connection })
  const worker = new Worker<{ endpoint: number; body: string }>(
    name,
    ({ data: { endpoint, body } }) => posts[endpoint < hanging ? 0 : 1]!.post(endpoint, body),
    { connection, concurrency: CONCURRENCY },
  )
  worker.on('error', () => {})
  return {
    send: (endpoints, sentMs) => {
      const body = JSON.stringify({ sentMs })
      return queue.addBulk(
        endpoints.map((endpoint) => ({ name: 'deliver', data: { endpoint, body }, opts: { attempts: 10 } })),
      )
    },
    async close() {
      await worker.close(true)
      await queue.close()
      await connection.quit()
      await Promise.all(posts.map((post) => post.destroy()))
    },
  }
}
