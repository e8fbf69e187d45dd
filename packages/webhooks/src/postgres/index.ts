import { randomUUID } from 'node:crypto'
import { checkOptions, opt } from '@keelson/kernel'
import { createAsk, checkSchema, database, prepared, type DatabaseLike, type Migration } from '@keelson/kernel/postgres'
import { optionFailure } from '../error.ts'
import type { Claim, HandlerRow, Reaped, Unrouted, WebhookStore } from '../store.ts'
import { audienceSql, registerSql } from './audience.sql.ts'
import { createDeliveries } from './deliveries.ts'
import { createEndpoints } from './endpoints.ts'
import { readEvent, type EventColumns } from './event-row.ts'
import { createEvents } from './events.ts'
import { NO_FAILURES, ruleColumns } from './lane-row.ts'
import { migrations } from './migrations.ts'
import { deliveriesOf, publishStatement, readPublished } from './publishing.ts'
import { readSecrets } from '../kept-secrets.ts'
import { createSettling } from './settling.ts'
import { createSigningKeys } from './signing-keys.ts'
import { inspectSql, nextDueSql } from './status.sql.ts'
import { createWake, type ListenClient } from './wake.ts'

export { migrations } from './migrations.ts'
export type { ListenClient } from './wake.ts'

/** What `webhook_route` answers of each route, by its first letter. */
const ROUTED = { o: 'ok', s: 'stale', m: 'moved' } as const
/** LISTEN cuts a longer name, and pg_notify refuses it. */
const CHANNEL_BYTES = 63
/** A probe is given up after this time. */
const PING_MS = 1_000

/**
 * Webhooks in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that the business
 * rows live in, so that an event commits with them. Apply its `migrations` with `migrate(db, [store])`. `listen` answers
 * a connected client of its own, which hears of other processes at once; without it, and behind a pooler, they poll.
 * @throws KeelsonError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string; readonly listen?: () => Promise<ListenClient> } = {},
): WebhookStore & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const spec = { schema: opt.string('keelson'), listen: opt.fn<() => Promise<ListenClient>>() }
  const checked = checkOptions('postgresStore', options, spec, optionFailure)
  const schema = checkSchema(checked.schema)
  const target = database(db)
  const ask = createAsk(target)
  const channel = `${schema}_webhooks`.slice(0, CHANNEL_BYTES)
  const wake = createWake(channel, checked.listen, () => ask(prepared('select pg_notify($1, $2)', [channel, ''])))
  const sql = {
    take: `select * from ${schema}.webhook_take($1, $2::float8::bigint, $3)`,
    route: `select ${schema}.webhook_route($1::text::json, $2::text::json) as kinds`,
    audience: audienceSql(schema),
    register: registerSql(schema),
    claim: `select * from ${schema}.webhook_claim($1, $2::text::json)`,
    reap: `select * from ${schema}.webhook_reap($1)`,
    nextDue: nextDueSql(schema),
    pauseAll: `update ${schema}.webhook_state set paused = $1`,
    pause: `select ${schema}.webhook_pause($1, $2)`,
    partitions: `select ${schema}.webhook_partitions()`,
    retire: `select ${schema}.webhook_retire($1::float8::bigint) as dropped`,
    sweep: `select ${schema}.webhook_sweep($1, $2::float8::bigint, $3::float8::bigint, $4::float8::bigint) as swept`,
    inspect: inspectSql(schema),
  }

  return {
    kind: 'postgres',
    transactional: true,
    migrations,
    schema,

    async publish(events, tx) {
      if (events.length === 0) return []
      const statement = publishStatement(schema, events, { routed: tx === undefined, noted: false })
      if (tx !== undefined) {
        const { rows } = await tx.query(statement.text, statement.values)
        return readPublished((rows[0] as { kinds: string }).kinds)
      }
      const [row] = await ask<{ kinds: string }>(statement)
      wake.tell()
      return readPublished(row!.kinds)
    },

    publishStatements(events) {
      return events.length === 0 ? [] : [publishStatement(schema, events, { routed: false, noted: true })]
    },

    async takeUnrouted(limit, leaseMs) {
      const token = randomUUID()
      const rows = await ask<EventColumns & { revision: string }>(prepared(sql.take, [limit, leaseMs, token]))
      return rows.map((row): Unrouted => ({ event: readEvent(row), revision: row.revision, token }))
    },

    async route(routes) {
      if (routes.length === 0) return []
      const rows = routes.map(({ scope, event, token, matched }, n) => {
        return { n, s: scope, v: event, token, revision: matched.revision }
      })
      const [row] = await ask<{ kinds: string }>(prepared(sql.route, [JSON.stringify(rows), deliveriesOf(routes)]))
      wake.tell()
      return Array.from(row!.kinds, (kind) => ROUTED[kind as keyof typeof ROUTED])
    },

    async audience(scope) {
      const [row] = await ask<{ revision: string; endpoints: string; handlers: string }>(
        prepared(sql.audience, [scope]),
      )
      return {
        revision: row!.revision,
        endpoints: (JSON.parse(row!.endpoints) as [string, string][]).map(([id, config]) => ({ id, config })),
        handlers: (JSON.parse(row!.handlers) as [string, string][]).map(([name, types]) => {
          return { name, types: JSON.parse(types) as string[] }
        }),
      }
    },

    async registerHandlers(rows) {
      if (rows.length === 0) return
      // The last one of a name.
      const byName = new Map(rows.map((row) => [row.name, row]))
      await ask(prepared(sql.register, [JSON.stringify([...byName.values()].map(handlerColumns))]))
    },

    async claim({ limit, suspects, handlers }) {
      const rows = await ask<ClaimColumns>(prepared(sql.claim, [limit, classesOf(suspects, handlers)]))
      return rows.map(readClaim)
    },

    ...createSettling(target, schema, ask),

    async reap(limit) {
      const rows = await ask<Reaped>(prepared(sql.reap, [limit]))
      if (rows.length > 0) wake.tell()
      return rows.map(({ scope, endpoint, delivery, event, type, dead }) => {
        return { scope, endpoint, delivery, event, type, dead }
      })
    },

    async nextDue({ handlers }) {
      const [row] = await ask<{ ms: number | null }>(prepared(sql.nextDue, [classesOf(true, handlers)]))
      return row!.ms
    },

    onWake: wake.on,

    async pause(scope, paused) {
      await ask(scope === null ? prepared(sql.pauseAll, [paused]) : prepared(sql.pause, [scope, paused]))
      if (!paused) wake.tell()
    },

    endpoints: createEndpoints(target, schema, ask, wake.tell),
    events: createEvents(schema, ask),
    deliveries: createDeliveries(schema, ask, wake.tell),
    signingKeys: createSigningKeys(schema, ask),

    async sweep(limit, { attemptsMs, deliveriesMs, eventsMs, heldMs }) {
      await ask(prepared(sql.partitions))
      const [retired] = await ask<{ dropped: number }>(prepared(sql.retire, [attemptsMs]))
      const [row] = await ask<{ swept: number }>(prepared(sql.sweep, [limit, deliveriesMs, eventsMs, heldMs]))
      return retired!.dropped + row!.swept
    },

    async inspect() {
      const [row] = await ask<StatusColumns>(prepared(sql.inspect))
      const { unrouted, pending, delivering, held, dead, active, paused, disabled, breakers } = row!
      return {
        counts: {
          unrouted,
          pending,
          delivering,
          held,
          dead,
          endpointsActive: active,
          endpointsPaused: paused,
          endpointsDisabled: disabled,
          breakersOpen: breakers,
        },
        oldestDueMs: row!.oldest_due_ms,
        unroutedMs: row!.unrouted_ms,
        conflicts: row!.conflicts,
      }
    },

    async health() {
      // Not long: each probe of a server that stands still keeps a connection of the pool.
      await ask({ text: 'select 1' }, PING_MS)
    },
    close: wake.close,
  }
}

function classesOf(suspects: boolean, handlers: readonly string[]): string {
  return JSON.stringify(['', ...(suspects ? ['suspect'] : []), ...handlers.map((name) => `fn:${name}`)])
}

function handlerColumns({ name, types, scope, rules }: HandlerRow): object {
  return {
    name,
    types: JSON.stringify(types),
    scope,
    rules: JSON.stringify(rules),
    health: NO_FAILURES,
    ...ruleColumns(rules),
  }
}

/** A row of webhook_claim. */
interface ClaimColumns extends Omit<EventColumns, 'id' | 'endpoint'> {
  readonly event: string
  /** Whom the event is for alone. */
  readonly target: string | null
  readonly endpoint: string
  readonly delivery: string
  readonly fence: string
  readonly lease_ms: number
  readonly attempts: number
  readonly spent: number
  readonly suspect: boolean
  readonly config: string
  readonly secrets: string
  readonly now_ms: number
}

function readClaim(row: ClaimColumns): Claim {
  const { scope, endpoint, delivery, attempts, spent, suspect, now_ms: nowMs } = row
  return {
    token: { scope, endpoint, delivery, fence: Number(row.fence) },
    leaseMs: row.lease_ms,
    attempts,
    spent,
    event: readEvent({ ...row, id: row.event, endpoint: row.target }),
    endpoint: endpoint.startsWith('fn:')
      ? null
      : {
          config: row.config,
          secrets: readSecrets(row.secrets, nowMs),
        },
    suspect,
  }
}

interface StatusColumns {
  readonly unrouted: number
  readonly pending: number
  readonly delivering: number
  readonly held: number
  readonly dead: number
  readonly active: number
  readonly paused: number
  readonly disabled: number
  readonly breakers: number
  readonly oldest_due_ms: number
  readonly unrouted_ms: number
  readonly conflicts: number
}
