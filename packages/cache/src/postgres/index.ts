import { checkOptions, opt, type Duration } from '@keelson/kernel'
import { createAsk, checkSchema, database, type DatabaseLike, type Migration } from '@keelson/kernel/postgres'
import { optionFailure } from '../error.ts'
import type { CacheStore, DropLog } from '../store.ts'
import { createLog } from './log.ts'
import { migrations } from './migrations.ts'
import { createRecord } from './record.ts'
import { createTier } from './tier.ts'

export { migrations } from './migrations.ts'

/**
 * Entries in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that the business
 * rows live in, so that `drop()` commits with them. Apply its `migrations` with `migrate(db, [store])`. With
 * `exclusive` nobody but this process invalidates: entries are then served from its memory without asking.
 * @throws KeelsonError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string; readonly exclusive?: boolean } = {},
): CacheStore & DropLog & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const checked = checkOptions(
    'postgresStore',
    options,
    { schema: opt.string('keelson'), exclusive: opt.boolean(false) },
    optionFailure,
  )
  const schema = checkSchema(checked.schema)
  const ask = createAsk(database(db))
  const coherence = checked.exclusive ? 'exclusive' : 'validated'
  return {
    kind: 'postgres',
    migrations,
    schema,
    open: (name, limits) => createTier(name, { ask, schema, coherence, ...limits }),
    ...createRecord(schema),
  }
}

/**
 * The log of drops for a shared tier that is not this database, such as Redis. A relay looks each `pollInterval`
 * (250 ms) for rows older than `relayAfter` (300 ms). Apply its `migrations` with `migrate(db, [log])`.
 * @throws KeelsonError OPTION_INVALID
 */
export function postgresLog(
  db: DatabaseLike,
  options: { readonly schema?: string; readonly pollInterval?: Duration; readonly relayAfter?: Duration } = {},
): DropLog & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const checked = checkOptions(
    'postgresLog',
    options,
    {
      schema: opt.string('keelson'),
      pollInterval: opt.duration('250ms', { min: 10, max: '1m' }),
      relayAfter: opt.duration('300ms', { min: 0, max: '1m' }),
    },
    optionFailure,
  )
  const schema = checkSchema(checked.schema)
  const log = createLog(database(db), schema, { pollMs: checked.pollInterval, relayAfterMs: checked.relayAfter })
  return { migrations, schema, ...log }
}
