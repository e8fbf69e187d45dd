import { text } from 'node:stream/consumers'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a bulk request is answered, instead of by what is stored. */
type Fault =
  | {
      readonly kind: 'status'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: string
    }
  /** The documents are stored, and nobody is told. */
  | { readonly kind: 'lost' }
  /** Items by their place in the request. */
  | { readonly kind: 'items'; readonly items: Readonly<Record<number, { status: number; type: string }>> }
  | { readonly kind: 'short' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset' }

/** An index as Elasticsearch keeps it, over HTTP with its answers (9.x, `_bulk` with `create`). */
export interface FakeElasticsearch extends AsyncDisposable {
  readonly url: string
  /** By index and id, as they were sent. */
  readonly documents: Map<string, string>
  readonly templates: Map<string, any>
  /** Entries in the bulk requests. */
  readonly requests: number[]
  /** Each answers one bulk request. */
  readonly faults: Fault[]
  /** Each is the status of one index template that is put. */
  readonly refusedTemplates: number[]
  /** The documents as a reader gets them. */
  sources(): Promise<string[]>
}

interface Item {
  readonly create: { readonly status: number; readonly error?: { readonly type: string; readonly reason: string } }
}

const READERS = 20

/**
 * The faults stand in front of a store in memory, or of a real server: `behind`, by default that of ELASTICSEARCH_URL,
 * from which everything is removed that was put there.
 */
export async function startElasticsearch(
  o: { distribution?: string; behind?: string } = {},
): Promise<FakeElasticsearch> {
  const { distribution, behind = process.env['ELASTICSEARCH_URL'] } = o
  const real = behind === undefined || behind === '' ? undefined : realServer(behind)
  const documents = new Map<string, string>()
  const templates = new Map<string, unknown>()
  const requests: number[] = []
  const faults: Fault[] = []
  const refusedTemplates: number[] = []

  /** Pairs of lines; an item for each, in order. */
  async function create(pairs: readonly (readonly [string, string])[]): Promise<readonly Item[]> {
    const items = real === undefined ? pairs.map(createOne) : await real.create(pairs)
    for (const [i, [action, document]] of pairs.entries()) {
      if (items[i]!.create.status === 201) documents.set(placeOf(action), document)
    }
    return items
  }

  function createOne([action, document]: readonly [string, string]): Item {
    const at = placeOf(action)
    if (documents.has(at)) {
      const error = { type: 'version_conflict_engine_exception', reason: `[${at}]: version conflict` }
      return { create: { status: 409, error } }
    }
    JSON.parse(document)
    // An id may be twice in one request.
    documents.set(at, document)
    return { create: { status: 201 } }
  }

  async function bulk(body: string, response: ServerResponse): Promise<void> {
    const lines = body.split('\n')
    if (lines.pop() !== '') return answer(response, 400, { error: 'The bulk request must be terminated by a newline' })
    requests.push(lines.length / 2)
    const fault = faults.shift()
    if (fault?.kind === 'hang') return
    if (fault?.kind === 'reset') return void response.socket?.resetAndDestroy()
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '')
      return
    }
    const pairs = Array.from({ length: lines.length / 2 }, (_, i) => [lines[2 * i]!, lines[2 * i + 1]!] as const)
    const wrong = fault?.kind === 'items' ? fault.items : {}
    const created = (await create(pairs.filter((_, i) => wrong[i] === undefined)))[Symbol.iterator]()
    const items = pairs.map((_, i): Item => {
      if (wrong[i] === undefined) return created.next().value!
      const { status, type } = wrong[i]
      return { create: { status, error: { type, reason: 'as it was told' } } }
    })
    if (fault?.kind === 'lost') {
      await sleep(1)
      response.destroy()
      return
    }
    if (fault?.kind === 'short') items.pop()
    answer(response, 200, { errors: items.some((item) => 'error' in item.create), items })
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => answer(response, 500, { error: String(error) }))
  })

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request)
    const { pathname } = new URL(request.url!, 'http://fake')
    if (pathname === '/_bulk') return bulk(body, response)
    if (pathname.startsWith('/_index_template/')) {
      const status = refusedTemplates.shift()
      if (status !== undefined) return answer(response, status, { error: 'as it was told' })
      const name = pathname.slice('/_index_template/'.length)
      templates.set(name, JSON.parse(body))
      if (real !== undefined && distribution === undefined) return real.pass(request, body, response)
      return answer(response, 200, { acknowledged: true })
    }
    if (pathname === '/') {
      if (real !== undefined && distribution === undefined) return real.pass(request, undefined, response)
      return answer(response, 200, { version: { number: '9.5.1', ...(distribution && { distribution }) } })
    }
    answer(response, 404, { error: 'no such path' })
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    documents,
    templates,
    requests,
    faults,
    refusedTemplates,
    sources: async () => real?.sources([...documents.keys()]) ?? [...documents.values()],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await real?.remove([...documents.keys()])
    },
  }
}

/** Index and id. */
function placeOf(action: string): string {
  const { _index, _id } = (JSON.parse(action) as { create: { _index: string; _id: string } }).create
  return `${_index}/${_id}`
}

/** A server that somebody has. */
function realServer(given: string) {
  const { username, password, href } = new URL(given)
  const root = new URL(href)
  root.username = root.password = ''
  const user = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const authorized = { ...(username !== '' && { authorization: `Basic ${user}` }) }

  async function ask(path: string, method: string, body?: string, type = 'application/json'): Promise<Response> {
    const given = body === undefined ? {} : { body }
    return fetch(new URL(path, `${root.href.replace(/\/$/, '')}/`), {
      method,
      headers: { ...authorized, 'content-type': type },
      ...given,
    })
  }

  async function bulk(lines: readonly string[]): Promise<readonly Item[]> {
    if (lines.length === 0) return []
    const response = await ask('_bulk', 'POST', `${lines.join('\n')}\n`, 'application/x-ndjson')
    return ((await response.json()) as { items: Item[] }).items
  }

  return {
    create: (pairs: readonly (readonly [string, string])[]) => bulk(pairs.flat()),
    async pass({ method = 'GET', url = '/' }: IncomingMessage, body: string | undefined, to: ServerResponse) {
      const response = await ask(url.slice(1), method, body)
      to.writeHead(response.status, { 'content-type': 'application/json' }).end(await response.text())
    },
    async sources(places: readonly string[]): Promise<string[]> {
      const all: string[] = []
      const reader = async (first: number): Promise<void> => {
        for (let i = first; i < places.length; i += READERS) {
          all[i] = await (await ask(places[i]!.replace('/', '/_source/'), 'GET')).text()
        }
      }
      await Promise.all(Array.from({ length: READERS }, (_, i) => reader(i)))
      return all
    },
    async remove(places: readonly string[]): Promise<void> {
      const step = 1_000
      for (let i = 0; i < places.length; i += step) {
        const some = places.slice(i, i + step).map((place) => place.split('/') as [string, string])
        await bulk(some.map(([_index, _id]) => JSON.stringify({ delete: { _index, _id } })))
      }
    },
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
