export {
  database,
  type DatabaseLike,
  type KnownDatabase,
  type PgClientLike,
  type PgPoolLike,
  type PGliteLike,
} from './database.ts'
export { unit, type Isolation, type UnitEnd, type UnitOptions } from './unit.ts'
export { transact, type TransactOptions } from './transact.ts'
export { effectContext, effectStatements, runAfterCommit, type EffectPlan, type EffectStatement } from './effects.ts'
export { checkSchema, migrate, printMigrations, type Migratable, type Migration } from './migrate.ts'
