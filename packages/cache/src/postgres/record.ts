import type { Statement } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'
import type { DropLog } from '../store.ts'
import { dropSql } from './bump.sql.ts'
import { toList } from './text.ts'

/**
 * The log of entries in the same database: its rows are what makes them invalid, from the COMMIT on. So nothing is
 * ever owed, and a relay finds nothing.
 */
export function createRecord(schema: string): DropLog {
  const drop = dropSql(schema)
  return {
    statement(rows): Statement {
      const columns = (['name', 'scope', 'tag'] as const).map((column) => toList(rows.map((row) => row[column])))
      return prepared(drop, columns)
    },
    claim: async () => 0,
    pending: async () => [],
    done: async () => {},
    backlog: async () => ({ rows: 0, oldestMs: 0 }),
    pollMs: 250,
    relayAfterMs: 300,
  }
}
