import { epochOf } from './rule.sql.ts'

/** Begins a name, unless somebody else has. $1 name. */
export const createStateSql = (schema: string): string =>
  `insert into ${schema}.cache_state (name) values ($1) on conflict (name) do nothing`

/** $1 name. */
export const epochSql = (schema: string): string =>
  `select ${epochOf('s')} as epoch from ${schema}.cache_state s where s.name = $1`
