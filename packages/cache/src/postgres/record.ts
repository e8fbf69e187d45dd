import type { DropLog } from '../store.ts'
import { dropManySql, dropSql } from './bump.sql.ts'
import { insertDrops } from './insert.ts'

/**
 * The log of entries in the same database: its rows are what makes them invalid, from the COMMIT on. So nothing is
 * ever owed, and a relay finds nothing.
 */
export function createRecord(schema: string): DropLog {
  const sql = { one: dropSql(schema), many: dropManySql(schema) }
  return {
    statement: (rows) => insertDrops(rows, ['name', 'scope', 'tag'], sql),
    claim: async () => 0,
    pending: async () => [],
    done: async () => {},
    backlog: async () => ({ rows: 0, oldestMs: 0 }),
    pollMs: 250,
    relayAfterMs: 300,
  }
}
