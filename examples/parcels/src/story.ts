import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { client, type Answer } from './client.ts'
import type { Page } from './domain/shipments.ts'
import { FRAMEWORKS, type Framework } from './environment.ts'
import { startNodeProcess, type NodeProcess } from './node-process.ts'
import { startNode, type Node } from './node.ts'
import { openEmbedded, openProcesses, type StoryNodes } from './story-nodes.ts'
import { openSystem, type System } from './system.ts'

/** One step of the story: it asserts what its sentence says. */
interface Step {
  readonly name: string
  run(): Promise<void>
}

/** The story, and what ends all that it started. */
export interface Story {
  readonly steps: readonly Step[]
  /** Of the nodes that stay up until the end, one a framework. */
  readonly nodes: StoryNodes['nodes']
  close(): Promise<void>
}

/** What the story is told on. */
interface Stage {
  /** A Postgres; embedded without one. */
  readonly databaseUrl?: string | undefined
  /** A Redis beside the Postgres. */
  readonly redisUrl?: string | undefined
  /** The framework of the node that is asked first; default Express. */
  readonly first?: Framework
}

/** Opens the stores and tells the story over real HTTP, on three nodes: one for each framework. */
export async function openStory({ databaseUrl, redisUrl, first: leader = 'express' }: Stage = {}): Promise<Story> {
  const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  const carrier = await startNodeProcess({}, 'carrier.ts')
  const settings = {
    // A slow machine is no part of the story.
    STORE_TIMEOUT: '30s' as const,
    CARRIER_URL: carrier.ready.url,
    CIRCUIT_RESET_TIMEOUT: 500,
    BOOKINGS_PER_MINUTE: 10_000,
  }
  const redis = redisUrl === undefined ? {} : { REDIS_URL: redisUrl }
  const servers = databaseUrl === undefined ? undefined : { ...settings, DATABASE_URL: databaseUrl, ...redis }
  const stores = servers ?? { ...settings, DATA_DIR: join(folder, 'data') }
  let carrierAgain: NodeProcess | undefined
  // The process that is going to die starts early, so that nobody waits for it later.
  const victim = startNodeProcess({ ...stores, FRAMEWORK: leader }, 'dying-node.ts')
  victim.catch(() => {}) // met by its step
  const frameworks = [leader, ...FRAMEWORKS.filter((one) => one !== leader)]
  const { db, nodes, close } = await (servers === undefined
    ? openEmbedded(settings, frameworks)
    : openProcesses(servers, frameworks))
  let revived: { system: System; node: Node } | undefined

  const clients = nodes.map(({ url }) => client(url, db))
  const { book, look, rows, quote, breaker } = clients[0]!
  // Postgres keeps what earlier stories wrote, so each has keys of its own.
  const key = `story-${process.pid}-${Date.now()}`
  let first: Answer

  const steps: Step[] = [
    {
      name: 'the carrier is asked for a price, and knows our request by its correlation id',
      async run() {
        const answer = await quote()
        assert.equal(answer.status, 200)
        assert.equal(answer.json().reference, answer.headers.get('x-correlation-id'))
        assert.equal(answer.headers.get('x-fallback'), null)
      },
    },
    {
      name: 'the carrier is killed: the last known price, marked, until the breaker is open; it comes back, and so do prices',
      async run() {
        await carrier.end('SIGKILL')
        await until('the breaker is open', async () => {
          const answer = await quote()
          assert.equal(answer.status, 200)
          assert.equal(answer.headers.get('x-fallback'), 'last-known')
          return (await breaker()) === 'open'
        })
        carrierAgain = await startNodeProcess({ PORT: new URL(carrier.ready.url).port }, 'carrier.ts')
        await until('the carrier is asked again', async () => (await quote()).headers.get('x-fallback') === null)
        assert.equal(await breaker(), 'closed')
        // Somebody else's failure is no reason to take this node out.
        assert.equal((await fetch(`${nodes[0]!.url}/health/ready`)).status, 200)
      },
    },
    {
      name: 'a merchant books a parcel: 201, its address, a correlation id',
      async run() {
        first = await book(`${key}-1`)
        assert.equal(first.status, 201)
        assert.match(first.headers.get('location') ?? '', /^\/shipments\/\d+$/)
        assert.ok(first.headers.get('x-correlation-id'))
        assert.deepEqual(await rows(`${key}-1`), { shipments: 1, events: 1, answers: 1 })
      },
    },
    {
      name: "the same request to the other frameworks' nodes: the same bytes, marked as replayed, still one row",
      async run() {
        for (const other of clients) {
          const again = await other.book(`${key}-1`)
          assert.equal(again.status, 201)
          assert.equal(again.headers.get('idempotent-replayed'), 'true')
          assert.equal(again.headers.get('location'), first.headers.get('location'))
          assert.deepEqual(again.bytes, first.bytes)
        }
        assert.deepEqual(await rows(`${key}-1`), { shipments: 1, events: 1, answers: 1 })
      },
    },
    {
      name: 'the same key with another body: refused with 422',
      async run() {
        const other = await book(`${key}-1`, { kg: 7 })
        assert.equal(other.status, 422)
        assert.equal(other.json().code, 'key-reused')
      },
    },
    {
      name: 'another merchant with the same key: a booking of its own, and no look at the first',
      async run() {
        const other = await book(`${key}-1`, { merchant: 'm2', to: `${key}-m2` })
        assert.equal(other.status, 201)
        assert.equal(other.headers.get('idempotent-replayed'), null)
        const path = first.headers.get('location')!
        assert.deepEqual([await look('m1', path), await look('m2', path)], [200, 404])
      },
    },
    {
      name: 'the list of parcels is cached on every node, and a booking on one of them changes it on all at once',
      async run() {
        const id = first.headers.get('location')!.split('/').at(-1)!
        const listed = async (): Promise<unknown[]> =>
          Promise.all(clients.map(async ({ list }) => ((await list('m1', id)).json() as Page).items.length))
        assert.deepEqual(await listed(), [0, 0, 0])
        const again = await clients[2]!.list('m1', id)
        assert.match(again.headers.get('cache-status') ?? '', /^keelson; hit/)
        const known = { 'if-none-match': again.headers.get('etag')! }
        assert.equal((await clients[1]!.list('m1', id, known)).status, 304)
        assert.equal((await clients[1]!.book(`${key}-5`)).status, 201)
        assert.deepEqual(await listed(), [1, 1, 1])
        assert.equal((await clients[1]!.list('m1', id, known)).status, 200)
      },
    },
    {
      name: 'fifty times the same booking at once over all nodes: one row, fifty equal answers',
      async run() {
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, i) => clients[i % clients.length]!.book(`${key}-2`)),
        )
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
        assert.equal(new Set(answers.map(({ bytes }) => bytes.toString())).size, 1)
        assert.deepEqual(await rows(`${key}-2`), { shipments: 1, events: 1, answers: 1 })
      },
    },
    {
      name: 'a parcel of five tons: refused with 400, nothing is left, and its key stays free',
      async run() {
        const heavy = await book(`${key}-3`, { kg: 5000 })
        assert.equal(heavy.status, 400)
        assert.deepEqual(await rows(`${key}-3`), { shipments: 0, events: 0, answers: 0 })
        assert.equal((await book(`${key}-3`)).status, 201)
      },
    },
    {
      name: 'a merchant on trial books four times over all nodes: the fourth is 429, and says when there is more',
      async run() {
        const answers = []
        for (let i = 0; i < 4; i++) answers.push(await clients[i % 3]!.book(`${key}-t${i}`, { merchant: 'm3' }))
        const refused = answers[3]!
        assert.equal(refused.status, 429)
        assert.equal(refused.json().code, 'rate-limited')
        assert.match(refused.headers.get('ratelimit-policy') ?? '', /^"minute";q=3;w=60/)
        assert.ok(Number(refused.headers.get('retry-after')) > 0)
      },
    },
    {
      name: 'every node is ready, and shows what it counts to its operator only',
      async run() {
        for (const { url } of nodes) {
          assert.equal((await fetch(`${url}/health/ready`)).status, 200)
          const metrics = `${url}/ops/metrics`
          assert.equal((await fetch(metrics)).status, 401)
          const page = await fetch(metrics, { headers: { authorization: 'Bearer ops' } })
          assert.match(await page.text(), /keelson_http_requests_total{method="POST",route="\/shipments",status="201"}/)
        }
      },
    },
    {
      name: 'the process is killed in the middle of a booking, behind its first row',
      async run() {
        const { ready, ended } = await victim
        await assert.rejects(client(ready.url, db).book(`${key}-4`), TypeError)
        assert.deepEqual(await ended, [null, 'SIGKILL'])
      },
    },
    {
      name: 'a new process on the same data, the client tries again: one parcel, one event, one answer',
      async run() {
        const system = await openSystem(stores)
        const node = await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK: leader })
        revived = { system, node }
        const { book, rows } = client(node.url, system.db)
        assert.deepEqual(await rows(`${key}-4`), { shipments: 0, events: 0, answers: 0 })
        const answer = await book(`${key}-4`)
        assert.equal(answer.status, 201)
        assert.equal(answer.headers.get('idempotent-replayed'), null)
        assert.deepEqual(await rows(`${key}-4`), { shipments: 1, events: 1, answers: 1 })
      },
    },
  ]

  return {
    steps,
    nodes,
    async close() {
      await victim.then(({ end }) => end('SIGKILL')).catch(() => {})
      await (carrierAgain ?? carrier).end('SIGKILL')
      await revived?.node.close()
      await revived?.system.close()
      await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Asks again and again, for a minute at most. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endsMs = performance.now() + 60_000
  while (!(await holds())) {
    assert.ok(performance.now() < endsMs, `${what}: not within a minute`)
    await setTimeout(50)
  }
}
