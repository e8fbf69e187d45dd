import { randomUUID } from 'node:crypto'
import type { Case, Contender, Target } from '../../src/case.ts'
import { served } from '../../src/served.ts'
import type { Services } from '../../src/services.ts'
import type { Framework, Kind } from './kinds.ts'

const CONNECTIONS = 32
/** A new server takes seconds until it is as fast as it gets. */
const TIMES = { warmUpMs: 3_000, runMs: 500 }

/** Real sockets, the server in a process of its own, each framework against itself without us. */
export function overHttp(services: Services): Case[] {
  const ofPlatform = (framework: 'Express' | 'Fastify'): Case[] => [
    onMemory(framework, [
      app('a patch of end() and a Map, first', framework, 'end patch'),
      app('a patch of end() and a Map, replay', framework, 'end patch', { replays: true }),
    ]),
    reads(framework),
    limits(framework),
    problems(framework),
    onPostgres(framework, services),
  ]
  return [...ofPlatform('Express'), ...ofPlatform('Fastify'), onMemory('Nest on Express'), onMemory('Nest on Fastify')]
}

function onMemory(framework: Framework, others: readonly Contender[] = []): Case {
  const bare = `bare ${framework}`
  const atLeast = (of: string, atLeast: number, aim: number): Target => ({
    of,
    figure: 'per s',
    over: bare,
    atLeast,
    aim,
  })
  return {
    name: `${framework}: the same handler`,
    note: 'it only answers: all that is between two numbers is ours; cpu us is the server’s own time a request',
    base: bare,
    ...TIMES,
    contenders: [
      app(bare, framework, 'bare'),
      app('context only', framework, 'context'),
      app('idempotent, memory store, first', framework, 'idempotent'),
      app('idempotent, memory store, replay', framework, 'idempotent', { replays: true }),
      ...others,
    ],
    targets: [
      atLeast('context only', 0.92, 0.95),
      atLeast('idempotent, memory store, first', 0.9, 0.95),
      atLeast('idempotent, memory store, replay', 0.95, 0.98),
    ],
  }
}

/** One entry, out of the memory of the process. Its handler only answers: no cache can be faster than that. */
function reads(framework: 'Express' | 'Fastify'): Case {
  const bare = `bare ${framework}, GET`
  const byTag = { status: 304, hasTag: true }
  // Fastify has no ETag by itself.
  const own = framework === 'Express' ? [read('bare Express, its own 304', framework, 'bare read', byTag)] : []
  return {
    name: `${framework}: a cached read`,
    note: 'cpu us is the server’s own time a request: what a handler that reads a database has to beat',
    base: bare,
    ...TIMES,
    contenders: [
      read(bare, framework, 'bare read'),
      ...own,
      read('cached, hit', framework, 'cached'),
      read('cached, 304 by its tag', framework, 'cached', byTag),
    ],
    targets: [{ of: 'cached, hit', figure: 'per s', over: bare, atLeast: 0.95 }],
  }
}

/** In memory, by address, with all headers; nobody is refused. */
function limits(framework: 'Express' | 'Fastify'): Case {
  const bare = `bare ${framework}, GET`
  const peer = framework === 'Express' ? 'express-rate-limit 8.7.4' : '@fastify/rate-limit 11.2.0'
  return {
    name: `${framework}: a rate limit`,
    note: 'the peer counts in fixed windows; ours also has ids, a trace, a line and metrics',
    base: bare,
    ...TIMES,
    contenders: [
      read(bare, framework, 'bare read'),
      read('rateLimit, sliding', framework, 'limited, sliding'),
      read('rateLimit, fixed', framework, 'limited, fixed'),
      read(peer, framework, 'limited by a peer'),
    ],
  }
}

function read(
  name: string,
  framework: Framework,
  kind: Kind,
  { status = 200, hasTag = false }: { status?: number; hasTag?: boolean } = {},
): Contender {
  return served(name, () => ({
    script: new URL('app.ts', import.meta.url),
    args: [framework, kind],
    connections: CONNECTIONS,
    path: '/item',
    status,
    hasTag,
  }))
}

function problems(framework: Framework): Case {
  const bare = `bare ${framework}, a 409 by hand`
  return {
    name: `${framework}: a problem`,
    base: bare,
    ...TIMES,
    contenders: [
      app(bare, framework, 'bare problem', { status: 409 }),
      app('throw problem(409)', framework, 'problem', { status: 409 }),
    ],
  }
}

function onPostgres(framework: Framework, services: Services): Case {
  const byHand = 'the same SQL by hand, without a key'
  const ours = 'transaction under a key'
  return {
    name: `${framework}: one row on durable Postgres, 16 connections`,
    base: byHand,
    ...TIMES,
    contenders: [
      app(byHand, framework, 'sql', { services, connections: 16 }),
      app(ours, framework, 'transaction', { services, connections: 16 }),
    ],
    targets: [{ of: ours, figure: 'per s', over: byHand, atLeast: 0.6 }],
  }
}

interface Asked {
  readonly replays?: boolean
  readonly status?: number
  readonly services?: Services
  readonly connections?: number
}

function app(
  name: string,
  framework: Framework,
  kind: Kind,
  { replays = false, status = 201, services, connections = CONNECTIONS }: Asked = {},
): Contender {
  return served(name, async () => ({
    script: new URL('app.ts', import.meta.url),
    args: [framework, kind, ...(services === undefined ? [] : [await services.databaseUrl()])],
    connections,
    path: '/pay',
    status,
    body: { order: 'o_1042', cents: 990, currency: 'eur', lines: [{ sku: 'tea', n: 2 }] },
    keyOf: (connection) => (replays ? `replayed-${connection}` : randomUUID()),
  }))
}
