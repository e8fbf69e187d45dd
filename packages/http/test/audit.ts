import { createAudit, generateKey, type Audit, type AuditOptions, type Entry, type Query } from '@keelson/audit'
import { postgresStore } from '@keelson/audit/postgres'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'

export * from '@keelson/audit'

const { signer } = generateKey('http.example/test')

/** A log of this test alone on a database of it. */
export async function auditOn(db: DatabaseLike, schema = 'keelson', more: Partial<AuditOptions> = {}): Promise<Audit> {
  const store = postgresStore(db, { schema })
  await migrate(db, [store])
  return createAudit({ store, key: signer, storeTimeout: '10s', ...more })
}

/** Everything that was accepted, in its order. */
export async function entriesOf(audit: Audit, q: Partial<Query> = {}): Promise<readonly Entry[]> {
  await audit.flush()
  return (await audit.query({ scope: '*', order: 'asc', ...q })).entries
}
