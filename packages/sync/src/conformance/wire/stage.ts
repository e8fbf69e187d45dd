import { randomUUID } from 'node:crypto'
import type { Case, Tools } from '@keelson/kernel/conformance'
import { nextStamp, type Stamp } from '../../stamp.ts'
import type { Op, OpResult, PullResponse, PushResponse, Rec } from '../../wire.ts'
import type { WireServer, WireUser } from '../wire-server.ts'

/** An answer, read. */
interface Reply {
  readonly status: number
  readonly headers: Headers
  /** Its JSON; undefined for what is none. */
  readonly body: any
}

/** What a device keeps, by the rules of the wire document, and nothing else. */
export interface Device {
  readonly client: string
  readonly user: WireUser
  /** Null before the first pull. */
  readonly cursor: string | null
  /** An operation of now, by its clock. */
  op(id: string, t: Op['t'], more?: object): Op
  /** Without its time, so that stamps stay as they are. Fails for any answer but 200. */
  push(...ops: readonly object[]): Promise<readonly OpResult[]>
  /** One page. Fails for any answer but 200. */
  page(more?: object): Promise<PullResponse>
  /** All that is new. */
  pull(more?: object): Promise<readonly PullResponse[]>
  /** The only record of this id that it has. */
  rec(id: string): Rec | undefined
}

/** What a case works with. */
export interface Stage extends Tools {
  readonly server: WireServer
  /** A name that no other case has. */
  name(word: string): string
  /** POST with a body, else GET. A text is sent as it is. */
  ask(user: WireUser, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Reply>
  /** A device whose clock is so many ms ahead. */
  device(user: WireUser, aheadMs?: number): Device
  /** It is a problem of this status and code; answers it. */
  refused(reply: Reply, status: number, code: string): any
}

/** A case on a server that it may share with others. */
export function wireCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<WireServer> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (server, tools) => run(openStage(server, tools)) }
}

/** A task of team blue, which both users see. */
export const task = { team: 'blue', title: 'Call', done: false }

function openStage(server: WireServer, tools: Tools): Stage {
  const unique = randomUUID()
  let made = 0

  async function ask(
    user: WireUser,
    path: string,
    body?: unknown,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await fetch(server.url + path, {
      ...(body === undefined ? {} : { method: 'POST', body: text }),
      headers: {
        ...server.headers(user),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...more,
      },
    })
    const { status, headers } = response
    const answer = await response.text()
    return { status, headers, body: parsed(answer) }
  }

  async function good(user: WireUser, path: string, body: unknown): Promise<any> {
    const reply = await ask(user, path, body)
    tools.equal([reply.status, reply.body?.code], [200, undefined], path)
    return reply.body
  }

  return {
    ...tools,
    server,
    name: (word) => `${word}-${unique}`,
    ask,
    refused({ status, headers, body }, expected, code) {
      tools.equal([status, body?.code], [expected, code])
      tools.equal([mediaType(headers), body.status], ['application/problem+json', expected])
      tools.equal(headers.get('cache-control'), 'no-store')
      return body
    },
    device(user, aheadMs = 0) {
      const client = `d${++made}-${unique}`
      const node = randomUUID().replaceAll('-', '').slice(0, 12)
      const records = new Map<string, Rec>()
      let last: Stamp | undefined
      let cursor: string | null = null
      async function page(more: object = {}): Promise<PullResponse> {
        const got: PullResponse = await good(user, '/pull', { v: 1, client, cursor, ...more })
        for (const s of got.dropped ?? []) for (const [key, rec] of records) if (rec.s === s) records.delete(key)
        for (const [c, { created, updated, deleted }] of Object.entries(got.changes)) {
          for (const { s, id } of deleted) records.delete(`${s} ${c} ${id}`)
          for (const rec of [...created, ...updated]) records.set(`${rec.s} ${c} ${rec.id}`, rec)
        }
        cursor = got.cursor
        return got
      }

      return {
        client,
        user,
        get cursor() {
          return cursor
        },
        op(id, t, more = {}) {
          last = nextStamp(last, Date.now() + aheadMs, node)
          return {
            op: `op${++made}-${unique}`,
            c: 'task',
            id,
            t,
            h: last,
            ...(t === 'put' ? { set: task } : {}),
            ...more,
          }
        },
        async push(...ops) {
          const { v, now, results }: PushResponse = await good(user, '/push', { v: 1, client, ops })
          tools.equal([v, Number.isSafeInteger(now), results.length], [1, true, ops.length])
          return results
        },
        page,
        async pull(more = {}) {
          const pages = [await page(more)]
          // One that never ends is a fault too.
          while (pages.at(-1)!.more && pages.length < MAX_PAGES) pages.push(await page(more))
          tools.ok(!pages.at(-1)!.more, 'a pull has an end')
          return pages
        },
        rec(id) {
          const found = [...records.values()].filter((rec) => rec.id === id)
          tools.ok(found.length < 2, `there is one '${id}'`)
          return found[0]
        },
      }
    },
  }
}

const MAX_PAGES = 1_000

export const mediaType = (headers: Headers): string => (headers.get('content-type') ?? '').split(';')[0]!.trim()

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What became of operations, in a word each. */
export const told = (results: readonly OpResult[]): readonly string[] =>
  results.map(({ status, code }) => (code === undefined ? status : `${status} ${code}`))
