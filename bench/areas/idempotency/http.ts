import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import { served } from '../../src/served.ts'
import type { Services } from '../../src/services.ts'
import type { Kind } from './http-app.ts'

const CONNECTIONS = 32
const BODY = { order: 'o_1042', cents: 990, currency: 'eur', lines: [{ sku: 'tea', n: 2 }] }
const BARE = 'bare Express 5'

/**
 * Real sockets, the server in a process of its own. The bare handler is the same application and handler without us: in
 * one case it only answers (all that is between two numbers is ours), in the other it calls a provider over HTTP.
 */
export function overHttp(services: Services): Case[] {
  return [
    overHttpCase(services, 'the handler only answers', false),
    overHttpCase(services, 'the handler calls a service', true),
  ]
}

function overHttpCase(services: Services, what: string, callsProvider: boolean): Case {
  const contender = (name: string, kind: Kind, replays = false): Contender =>
    served(name, async (parts) => {
      const provider = callsProvider ? await startChild(new URL('receiver.ts', import.meta.url), []) : undefined
      if (provider !== undefined) parts.defer(() => provider.stop())
      // idempotency-backend keeps its file in the working directory.
      const cwd = await mkdtemp(join(tmpdir(), 'keelson-bench-'))
      parts.defer(() => rm(cwd, { recursive: true, force: true }))
      const args = [kind, await services.redisUrl(), `${services.id}:${randomUUID()}`]
      if (provider !== undefined) args.push(await provider.ask<string>({}))
      return {
        script: new URL('http-app.ts', import.meta.url),
        args,
        cwd,
        connections: CONNECTIONS,
        path: '/pay',
        body: BODY,
        keyOf: (connection: number) => (replays ? `replayed-${connection}` : randomUUID()),
      }
    })
  const atLeast = (of: string, atLeast: number, aim?: number) => ({
    of,
    figure: 'per s',
    over: BARE,
    atLeast,
    ...(aim === undefined ? {} : { aim }),
  })
  return {
    name: `Express 5 over HTTP, ${CONNECTIONS} connections: ${what}`,
    note: `bare is the same application and handler without Keelson; cpu us is the server's own time a request`,
    base: BARE,
    // A new server takes seconds until it is as fast as it gets.
    warmUpMs: 3000,
    runMs: 500,
    contenders: [
      contender(BARE, 'bare'),
      contender('keelson context only', 'context'),
      contender('keelson memory, first', 'memory'),
      contender('keelson Redis, first', 'redis'),
      contender('keelson Redis, replay', 'redis', true),
      contender('express-idempotency, Redis, first', 'express-idempotency-redis'),
      // What these cost does not depend on the handler.
      ...(callsProvider
        ? []
        : [
            contender('express-idempotency, Redis, replay', 'express-idempotency-redis', true),
            contender('express-idempotency, its array, first', 'express-idempotency'),
            contender('idempotency-backend, its file, first', 'idempotency-backend'),
          ]),
    ],
    targets: [
      atLeast('keelson context only', 0.92),
      atLeast('keelson memory, first', 0.9, 0.95),
      atLeast('keelson Redis, first', 0.75),
      atLeast('keelson Redis, replay', 0.9),
    ],
  }
}
