import type { Migration } from '@keelson/kernel/postgres'
import { addSql, subtractSql } from './change.sql.ts'
import { livingSql, lookSql, nowSql, periodSql } from './look.sql.ts'
import { refundSql, TABLES, takeSql } from './take.sql.ts'

/** The counters, and the functions that change them. */
export const migrations: readonly Migration[] = [
  {
    package: 'resilience',
    id: '0001_create',
    statements: [
      ...TABLES.flatMap((table) => [
        `create ${table === 'rate_window' ? 'unlogged ' : ''}table {schema}.${table} (
  subject text collate "C" not null,
  quota text collate "C" not null,
  counted bigint[] not null,
  expires_at timestamptz not null,
  primary key (subject, quota)
) with (fillfactor = 70)`,
        `create index ${table}_expires_at on {schema}.${table} (expires_at)`,
      ]),
      nowSql,
      livingSql,
      periodSql,
      lookSql,
      addSql,
      subtractSql,
      takeSql,
      refundSql,
    ],
  },
]
