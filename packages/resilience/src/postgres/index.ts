import { checkOptions, opt } from '@keelson/kernel'
import { createAsk, checkSchema, database, prepared, type DatabaseLike, type Migration } from '@keelson/kernel/postgres'
import { msOf } from '../limiter/decide-take.ts'
import type { LimiterStore, QuotaSpec, StoreAnswer } from '../limiter/store.ts'
import { migrations } from './migrations.ts'
import { resetSql, sweepSql } from './sweep.sql.ts'
import { TABLES } from './take.sql.ts'

export { retryTx, type RetryTxOptions } from '@keelson/kernel/postgres'
export { migrations }

type Answer = readonly [granted: number, nowUs: number, ...quotas: (readonly [number, number, number, string])[]]

/**
 * Counters in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database. Apply its `migrations` with
 * `migrate(db, [store])`. Rows of a subject are locked in one order, and the time is read behind the locks. Windows
 * are lost in a crash of the server, periods of a calendar are not. Expired rows go with the limiter's `start()` or
 * `runOnce()`. `schema`: default 'keelson'.
 * @throws KernelError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string } = {},
): LimiterStore & {
  readonly migrations: readonly Migration[]
  readonly schema: string
  sweep(count: number): Promise<number>
} {
  const schema = checkSchema(checkOptions('postgresStore', options, { schema: opt.string('keelson') }).schema)
  const ask = createAsk(database(db))
  const sql = {
    // As text: what a driver makes of JSON is the application's to say.
    take: `select ${schema}.rate_take($1, $2::text::jsonb, $3, $4)::text as answer`,
    refund: `select ${schema}.rate_refund($1, $2::text::jsonb, $3)`,
    reset: resetSql(schema),
    sweeps: TABLES.map((table) => sweepSql(schema, table)),
  }

  async function take(subject: string, quotas: readonly QuotaSpec[], cost: number, atLeast: number) {
    const values = [subject, JSON.stringify(quotas.map(rowOf)), cost, atLeast]
    const [row] = await ask<{ answer: string }>(prepared(sql.take, values))
    return answerOf(JSON.parse(row!.answer) as Answer)
  }

  return {
    migrations,
    schema,
    take: async (subject, quotas, cost, atLeast = cost) => take(subject, quotas, cost, atLeast),
    peek: async (subject, quotas, cost) => take(subject, quotas, 0, cost),
    async refund(subject, quotas, tokens, cost) {
      const rows = quotas.map((spec, i) => ({ ...rowOf(spec), token: tokens[i]! }))
      await ask(prepared(sql.refund, [subject, JSON.stringify(rows), cost]))
    },
    async reset(subject, quotas) {
      await ask(prepared(sql.reset, [subject, JSON.stringify(quotas.map(({ key }) => key))]))
    },
    async sweep(count) {
      let most = 0
      for (const text of sql.sweeps) {
        const [row] = await ask<{ count: number }>(prepared(text, [count]))
        most = Math.max(most, row!.count)
      }
      return most
    },
  }
}

/** A quota as the functions know it; times in us. */
function rowOf(spec: QuotaSpec): object {
  const { key, algorithm, limit } = spec
  if (spec.algorithm === 'calendar')
    return { key, algorithm, limit, bounds: spec.bounds.map((boundMs) => boundMs * 1_000) }
  const burst = spec.algorithm === 'gcra' ? { burst: spec.burst } : {}
  return { key, algorithm, limit, window: spec.windowMs * 1_000, ...burst }
}

function answerOf([granted, nowUs, ...quotas]: Answer): StoreAnswer {
  return {
    granted: Math.max(0, granted),
    nowMs: nowUs / 1_000,
    quotas: quotas.map(([remaining, waitUs, fullUs, token]) => ({
      remaining,
      retryAfterMs: waitUs < 0 ? Infinity : msOf(waitUs),
      resetMs: msOf(fullUs),
      token,
    })),
  }
}
