import { checkOptions, opt } from '@keelson/kernel'
import { checkSchema, database, unit, type DatabaseLike, type Migration } from '@keelson/kernel/postgres'
import type { TransactionalStore } from '../store.ts'
import { createRowClaiming } from './claiming.ts'
import { migrations } from './migrations.ts'
import { createRecords } from './records.ts'
import { createWithin } from './within.ts'

export { traceIndex } from './migrations.ts'

/**
 * Idempotency records in PostgreSQL 15 or later, or PGlite: `db` is a pg Pool, a PGlite or a Database, the same that
 * the business rows live in. Apply its `migrations` with `migrate(db, [store])`.
 * @throws KernelError OPTION_INVALID
 */
export function postgresStore(
  db: DatabaseLike,
  options: { readonly schema?: string } = {},
): TransactionalStore & { readonly migrations: readonly Migration[]; readonly schema: string } {
  const schema = checkSchema(checkOptions('postgresStore', options, { schema: opt.string('keelson') }).schema)
  const target = database(db)
  const claiming = createRowClaiming(schema)
  return {
    transactional: true,
    migrations,
    schema,
    ...createRecords(target, schema, claiming),
    within: createWithin(target, schema, claiming),
    async health({ answerMs }) {
      await unit(target, { open: [], openTimeout: answerMs, work: async () => ({ end: 'rollback', value: undefined }) })
    },
  }
}
