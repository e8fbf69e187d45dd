import { redisPort, type Arg, type IoredisLike, type NodeRedisLike, type RedisPort } from '@keelson/kernel/redis'
import type { RedisReply } from '@keelson/kernel/redis'
import { WebhookError } from '../error.ts'
import type { LaneNotice } from '../lane.ts'
import type { Claim, ClaimToken, Matched, NewEvent, Reaped, Settlement, Unrouted, WebhookStore } from '../store.ts'
import { claimScript } from './claim.lua.ts'
import { createClaims } from './claims.ts'
import { deliveryRows } from './delivery-rows.ts'
import { handlersScript, audienceScript, clearScript, pauseAllScript, pauseScript } from './endpoints.lua.ts'
import { endpointRows } from './endpoint-rows.ts'
import { eventRows } from './event-rows.ts'
import { checkRedisOptions, type RedisStoreOptions } from './options.ts'
import { publishScript } from './publish.lua.ts'
import { routeScript, takeScript } from './route.lua.ts'
import { aboutOf, attemptArgs, eventOf, noticesOf } from './rows.ts'
import { packRules } from './rules.ts'
import { reapScript, settleScript, slowScript } from './settle.lua.ts'
import { createShards } from './shards.ts'
import { keyRows } from './signing-key-rows.ts'
import { nextDueScript, statusScript } from './status.lua.ts'
import { sweepScript } from './sweep.lua.ts'
import { createWakeUps } from './wake-ups.ts'

export type { RedisStoreOptions } from './options.ts'

/** Rows that one script may touch where there may be many: nobody else is served meanwhile. */
const MOST_ROWS = 500

const PUBLISHED = ['fresh', 'duplicate', 'conflict'] as const
const ROUTED = ['ok', 'stale', 'moved'] as const

/**
 * Webhooks in Redis 6.2 or later: an ioredis 5 or 6 Redis or Cluster, a node-redis client or cluster, or a RedisPort.
 * One script a step and shard, time by the server. Nothing is sent before the first call; the client stays the
 * application's. `onWake` opens one more connection a shard, until it is stopped. Writes that the server loses are lost:
 * FLUSHALL, a failover, the last second of an AOF that is synced each second. With several shards `publish` writes all
 * events or none of each shard, and a `pause` of all scopes comes to them one after another.
 * @throws WebhookError OPTION_INVALID; KernelError OPTION_INVALID for what is no client
 */
export function redisStore(
  client: IoredisLike | NodeRedisLike | RedisPort,
  options: RedisStoreOptions = {},
): WebhookStore {
  const { prefix, shards: count } = checkRedisOptions(options)
  const port = redisPort(client)
  const shards = createShards(port, prefix, count)
  const wakeUps = createWakeUps(port, shards.names)
  const claimed = createClaims(shards)
  const scopeOfToken = ({ token }: { readonly token: ClaimToken }): string => token.scope

  return {
    kind: 'redis',
    transactional: false,

    async publish(events, tx) {
      if (tx !== undefined) {
        throw new WebhookError(
          'STORE_NOT_TRANSACTIONAL',
          'events in Redis cannot be written in a transaction of a database: use a Postgres store',
        )
      }
      return shards.spread(
        events,
        ({ scope }) => scope,
        async (shard, some) => {
          const args = [some.length, ...some.flatMap(publishArgs)]
          return ((await shards.run(shard, publishScript, args)) as number[]).map((kind) => PUBLISHED[kind]!)
        },
      )
    },

    async takeUnrouted(limit, leaseMs) {
      const taken: Unrouted[] = []
      await shards.each(async (shard) => {
        const [token, ...scopes] = (await shards.run(shard, takeScript, [limit - taken.length, leaseMs])) as [
          Buffer,
          ...[Buffer, ...[Buffer, Buffer | null][]][],
        ]
        for (const [revision, ...events] of scopes) {
          taken.push(
            ...events.map(([row, bytes]) => ({
              event: eventOf(row, bytes),
              revision: String(revision),
              token: String(token),
            })),
          )
        }
        return taken.length < limit
      })
      return taken
    },

    async route(routes) {
      return shards.spread(
        routes,
        ({ scope }) => scope,
        async (shard, some) => {
          const args = some.flatMap(({ scope, event, token, matched }): Arg[] => [
            scope,
            event,
            token,
            ...matchedArgs(matched),
          ])
          const kinds = (await shards.run(shard, routeScript, [some.length, ...args])) as number[]
          return kinds.map((kind) => ROUTED[kind]!)
        },
      )
    },

    async audience(scope) {
      const reply = (await shards.run(shards.of(scope), audienceScript, [scope])) as [Buffer, Buffer[], Buffer[]]
      const [revision, endpoints, handlers] = [String(reply[0]), pairs(reply[1]), pairs(reply[2])]
      const listening = handlers.flatMap(([name, signature]) => {
        const [types, only] = JSON.parse(signature) as [string[], string | null]
        return only === null || only === scope ? [{ name, types }] : []
      })
      return { revision, endpoints: endpoints.map(([id, config]) => ({ id, config })), handlers: listening }
    },

    async registerHandlers(rows) {
      const args = rows.flatMap(({ name, types, scope, rules }) => [
        name,
        JSON.stringify([types, scope]),
        packRules(rules),
      ])
      await shards.all(handlersScript, args)
    },

    async claim({ limit, suspects, handlers }) {
      const classes = ['', ...(suspects ? ['suspect'] : []), ...handlers.map((name) => `fn:${name}`)]
      const claims: Claim[] = []
      await shards.each(async (shard) => {
        const reply = await shards.run(shard, claimScript, [limit - claims.length, ...classes])
        claims.push(...(await claimed.read(shard, reply as Buffer[])))
        return claims.length < limit
      })
      return claims
    },

    async settle(settlements) {
      return shards.spread(settlements, scopeOfToken, async (shard, some) => {
        const args = [some.length, ...some.flatMap(settleArgs)]
        const answers = (await shards.run(shard, settleScript, args)) as Buffer[]
        return answers.map(String).map(settledOf)
      })
    },

    async slow(tokens) {
      await shards.spread(
        tokens,
        ({ scope }) => scope,
        async (shard, some) => {
          const args = some.flatMap(({ scope, delivery, fence }) => [scope, delivery, fence])
          await shards.run(shard, slowScript, args)
          return []
        },
      )
    },

    async reap(limit) {
      const reaped: Reaped[] = []
      await shards.each(async (shard) => {
        const most = Math.min(limit - reaped.length, MOST_ROWS)
        const rows = (await shards.run(shard, reapScript, [most])) as RedisReply[][]
        reaped.push(...rows.map(reapedOf))
        return reaped.length < limit
      })
      return reaped
    },

    async nextDue({ handlers }) {
      const classes = ['', 'suspect', ...handlers.map((name) => `fn:${name}`)]
      const replies = await shards.all(nextDueScript, classes)
      const dues = replies.filter((reply) => reply !== null).map(Number)
      return dues.length === 0 ? null : Math.min(...dues)
    },

    onWake: wakeUps.listen,

    async pause(scope, paused) {
      const flag = paused ? 1 : 0
      if (scope === null) {
        await shards.all(pauseAllScript, [flag])
        return
      }
      let after = ''
      do after = String(await shards.run(shards.of(scope), pauseScript, [scope, flag, after]))
      while (after !== '')
    },

    endpoints: endpointRows(shards, MOST_ROWS),
    events: eventRows(shards),
    deliveries: deliveryRows(shards, MOST_ROWS),
    signingKeys: keyRows(shards),

    async sweep(limit, { attemptsMs, deliveriesMs, eventsMs, heldMs }) {
      let swept = 0
      await shards.each(async (shard) => {
        for (const [script, ...args] of [
          [clearScript, ''] as const,
          [sweepScript, attemptsMs, deliveriesMs, eventsMs, heldMs] as const,
        ]) {
          for (;;) {
            const most = Math.min(limit - swept, MOST_ROWS)
            if (most <= 0) return false
            const rows = Number(await shards.run(shard, script, [most, ...args]))
            swept += rows
            if (rows === 0) break
          }
        }
        return true
      })
      return swept
    },

    async inspect() {
      const replies = (await shards.all(statusScript, [])) as (Buffer | number)[][]
      const of = (i: number): number[] => replies.map((reply) => Number(reply[i]))
      const sum = (i: number): number => of(i).reduce((a, b) => a + b, 0)
      return {
        counts: {
          unrouted: sum(0),
          pending: sum(1),
          delivering: sum(2),
          held: sum(3),
          dead: sum(4),
          endpointsActive: sum(5),
          endpointsPaused: sum(6),
          endpointsDisabled: sum(7),
          breakersOpen: sum(8),
        },
        oldestDueMs: Math.max(...of(9)),
        unroutedMs: Math.max(...of(10)),
        conflicts: 0,
      }
    },

    async health() {
      await port.command(null, ['PING'])
    },

    close: wakeUps.close,
  }
}

function publishArgs(e: NewEvent): Arg[] {
  return [
    e.scope,
    e.id,
    e.type,
    e.digest,
    e.key ?? '',
    e.subject ?? '',
    e.correlationId ?? '',
    e.notBeforeMs ?? '',
    aboutOf(e),
    e.body,
    ...(e.matched === undefined ? ['', 0] : matchedArgs(e.matched)),
  ]
}

function matchedArgs({ revision, deliveries }: Matched): Arg[] {
  return [revision, deliveries.length, ...deliveries.flatMap(({ id, endpoint }) => [id, endpoint])]
}

function settleArgs({ token, attempt, end, signal, rules }: Settlement): Arg[] {
  return [
    token.scope,
    token.delivery,
    token.fence,
    end.kind === 'dead' ? end.reason : end.kind,
    'afterMs' in end ? end.afterMs : 0,
    signal.kind,
    signal.kind === 'success' && signal.fast ? 1 : 0,
    'blockMs' in signal ? signal.blockMs : 0,
    rules === undefined ? '' : packRules(rules),
    ...attemptArgs(attempt),
  ]
}

function settledOf(answer: string): { kind: 'stale' } | { kind: 'ok'; notices: LaneNotice[] } {
  return answer === 'stale' ? { kind: 'stale' } : { kind: 'ok', notices: noticesOf(answer) }
}

function reapedOf(row: readonly RedisReply[]): Reaped {
  const [scope, endpoint, delivery, event, type] = row.slice(0, 5).map(String) as [
    string,
    string,
    string,
    string,
    string,
  ]
  return { scope, endpoint, delivery, event, type, dead: row[5] === 1 }
}

function pairs(flat: readonly Buffer[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [String(flat[2 * i]), String(flat[2 * i + 1])])
}
