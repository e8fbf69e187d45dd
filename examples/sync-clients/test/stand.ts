import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { inject } from 'vitest'
import { createHttp } from '@keelson/http'
import { syncApi } from '@keelson/http/apis'
import { nodeExchanges } from '@keelson/http/node'
import { context } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { createSync, type Op, type OpResult } from '@keelson/sync'
import { createSyncClient, memoryStore, type SyncClient } from '@keelson/sync/client'
import { postgresStore } from '@keelson/sync/postgres'
import type { Doc } from '../src/edits.ts'
import type { WireOptions } from '../src/wire.ts'

export interface Stand {
  readonly url: string
  /** Teams whose tasks Ann sees. */
  readonly teams: Set<string>
  /** Operations, each as often as it was applied. */
  readonly wins: string[]
  /** A new era: every cursor is of no use from now on. */
  rebase(): Promise<void>
  /** Another device, on our own client. */
  client(): SyncClient
  /** What the server has, by id. */
  docs(): Promise<Record<string, Doc>>
  close(): Promise<void>
}

/** Tasks of teams on Postgres, over node:http. Nobody may call one "forbidden"; a budget is strict. */
export async function openStand(): Promise<Stand> {
  const schema = `sync_${randomBytes(6).toString('hex')}`
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 4 })
  pool.on('error', () => {})
  const store = postgresStore(pool, { schema, storeTimeout: '30s' })
  await migrate(pool, [store])
  const [teams, wins] = [new Set(['1', '2']), [] as string[]]
  const clients: SyncClient[] = []
  const sync = createSync({
    store,
    storeTimeout: '30s',
    scopes: () => ['acme', ...Array.from(teams, (team) => `acme/team:${team}`)],
    collections: {
      task: {
        fields: { title: 'lww', text: 'lww', done: 'lww', team: 'lww', budget: 'strict' },
        scope: (task: { title?: string; text?: string; done?: boolean; team: string; budget?: number }) =>
          `acme/team:${task.team}`,
        authorize: (_, op) => op.set?.['title'] !== 'forbidden' || 'not that',
        apply: async (_, all) => void wins.push(...all.map(({ op }) => op)),
      },
    },
  })
  const http = createHttp()
  const api = syncApi({ http, sync, scope: 'acme', authorize: () => ({ id: 'ann' }) })
  const exchanges = nodeExchanges<IncomingMessage>({ target: ({ url }) => url!, route: () => '/sync' }, 1)
  const server = createServer((req, res) => {
    const x = exchanges.of(req, res, req)
    context.run(http.begin(x), () => void x.serve(http, api, req.url!.slice('/sync'.length)))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sync`

  const stand: Stand = {
    url,
    teams,
    wins,
    rebase: async () => void (await sync.rebase()),
    client() {
      const client = createSyncClient({ url, store: memoryStore(), collections: { task: {} }, interval: false })
      clients.push(client)
      return client
    },
    async docs() {
      const fresh = stand.client()
      await fresh.sync()
      return docsOf(fresh)
    },
    async close() {
      for (const client of clients) await client.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await sync.close()
      await pool.query(`drop schema ${schema} cascade`)
      await pool.end()
    },
  }
  return stand
}

/** What our own client shows. */
export async function docsOf(client: SyncClient): Promise<Record<string, Doc>> {
  const all = await client.collection<Doc>('task').all()
  return Object.fromEntries(all.map(({ id, doc }) => [id, doc]))
}

/** A database of another make, with a translation. */
export interface Device {
  put(id: string, doc: Doc): Promise<void>
  patch(id: string, set: Doc): Promise<void>
  delete(id: string): Promise<void>
  docs(): Promise<Record<string, Doc>>
  /** Until nothing is left to send or to take. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Opens one; with the same `dir` it is the same again. */
export type OpenDevice = (o: WireOptions, dir: string) => Promise<Device>

/** What a device said and heard. */
export interface Line {
  readonly fetch: typeof fetch
  readonly issues: { readonly op: Op; readonly result: OpResult }[]
  /** Operations whose answers were lost, and those that the server had seen before. */
  readonly lost: string[]
  readonly replays: string[]
  readonly cursors: (string | null)[]
  /** The answers to so many pushes do not come. */
  loseAnswers(count: number): void
  /** Something happens while the next pull is under way, once. */
  during(work: () => Promise<void>): void
}

export function openLine(): Line {
  let losing = 0
  let meanwhile: (() => Promise<void>) | undefined
  const line: Line = {
    issues: [],
    lost: [],
    replays: [],
    cursors: [],
    loseAnswers: (count) => void (losing = count),
    during: (work) => void (meanwhile = work),
    async fetch(url, init) {
      const response = await fetch(url, init)
      const isPush = (url as string).endsWith('/push')
      if (!isPush) {
        line.cursors.push(JSON.parse(init!.body as string).cursor)
        const work = meanwhile
        meanwhile = undefined
        await work?.()
      } else if (losing > 0) {
        losing--
        const { results } = (await response.json()) as { results: OpResult[] }
        line.lost.push(...results.map(({ op }) => op))
        throw new TypeError('the answer is lost')
      } else if (response.ok) {
        const { results } = (await response.clone().json()) as { results: OpResult[] }
        line.replays.push(...results.filter(({ replay }) => replay).map(({ op }) => op))
      }
      return response
    },
  }
  return line
}
