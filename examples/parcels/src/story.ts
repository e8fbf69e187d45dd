import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { client, type Answer } from './client.ts'
import type { Page } from './domain/shipments.ts'
import { FRAMEWORKS, type Framework } from './environment.ts'
import { startNode } from './node.ts'
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
  readonly nodes: readonly { readonly framework: Framework; readonly url: string }[]
  close(): Promise<void>
}

const ANY_PORT = { PORT: 0, HOST: '127.0.0.1' }

/** What the story is told on. */
interface Stage {
  /** A Postgres; embedded without one. */
  readonly databaseUrl?: string | undefined
  /** The framework of the node that is asked first; default Express. */
  readonly first?: Framework
}

/** Opens the stores and tells the story over real HTTP, on three nodes: one for each framework. */
export async function openStory({ databaseUrl, first: leader = 'express' }: Stage = {}): Promise<Story> {
  const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  // The process that is going to die starts early, so that nobody waits for it later.
  // A slow machine is no part of the story.
  const patient = { STORE_TIMEOUT: '30s' } as const
  const place = databaseUrl === undefined ? { DATA_DIR: join(folder, 'data') } : { DATABASE_URL: databaseUrl }
  const stores = { ...place, ...patient }
  const victim = startVictim(stores, leader)
  const system = await openSystem(databaseUrl === undefined ? patient : stores)
  const survivors: System[] = [system]
  const nodes = await Promise.all(
    [leader, ...FRAMEWORKS.filter((one) => one !== leader)].map(async (FRAMEWORK) => ({
      framework: FRAMEWORK,
      node: await startNode(system, { ...ANY_PORT, FRAMEWORK }),
    })),
  )

  const clients = nodes.map(({ node }) => client(node.url, system.db))
  const { book, look, rows } = clients[0]!
  // Postgres keeps what earlier stories wrote, so each has keys of its own.
  const key = `story-${process.pid}-${Date.now()}`
  let first: Answer

  const steps: Step[] = [
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
      name: 'every node is ready, and shows what it counts to its operator only',
      async run() {
        for (const { node } of nodes) {
          assert.equal((await fetch(`${node.url}/health/ready`)).status, 200)
          const metrics = `${node.url}/ops/metrics`
          assert.equal((await fetch(metrics)).status, 401)
          const page = await fetch(metrics, { headers: { authorization: 'Bearer ops' } })
          assert.match(await page.text(), /keelson_http_requests_total{method="POST",route="\/shipments",status="201"}/)
        }
      },
    },
    {
      name: 'the process is killed in the middle of a booking, behind its first row',
      async run() {
        const { url, ended } = await victim
        await assert.rejects(client(url, system.db).book(`${key}-4`), TypeError)
        assert.equal(await ended, 'SIGKILL')
      },
    },
    {
      name: 'a new process on the same data, the client tries again: one parcel, one event, one answer',
      async run() {
        const revived = await openSystem(stores)
        const other = await startNode(revived, { ...ANY_PORT, FRAMEWORK: leader })
        nodes.push({ framework: leader, node: other })
        survivors.push(revived)
        const { book, rows } = client(other.url, revived.db)
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
    nodes: nodes.map(({ framework, node }) => ({ framework, url: node.url })),
    async close() {
      const { child } = await victim.catch(() => ({ child: undefined }))
      child?.kill('SIGKILL')
      for (const { node } of nodes) await node.close()
      for (const system of survivors) await system.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A real process with a node that dies in the middle of its first booking. */
async function startVictim(
  stores: Record<string, string>,
  framework: Framework,
): Promise<{
  child: ChildProcess
  url: string
  ended: Promise<NodeJS.Signals | null>
}> {
  const file = fileURLToPath(new URL('./dying-node.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@keelson/source', file], {
    env: { ...process.env, ...stores, PORT: '0', FRAMEWORK: framework },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null)
  for await (const line of createInterface({ input: child.stdout })) {
    const { url } = JSON.parse(line) as { url: string }
    return { child, url, ended }
  }
  throw new Error('the second node did not start')
}
