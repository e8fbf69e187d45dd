import { show } from '../duration.ts'
import { KernelError } from '../kernel-error.ts'
import { checkOptions, opt } from '../options.ts'
import type { Tx } from '../tx.ts'
import type { DatabaseLike } from './driver.ts'
import { sha256 } from './sha256.ts'
import { unit } from './unit.ts'

/** One step of a package's schema. It never changes once released. */
export interface Migration {
  readonly package: string
  /** Such as '0001_create'. */
  readonly id: string
  /** One SQL statement each; the schema is written `{schema}`. */
  readonly statements: readonly string[]
}

/** A migration, or a store with its own. */
export type Migratable = Migration | { readonly migrations: readonly Migration[]; readonly schema?: string }

interface Planned extends Migration {
  readonly schema: string
  readonly sha256: string
}

const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/
/** What takes every text. SQL_ASCII takes its bytes. */
const ENCODINGS = ['UTF8', 'SQL_ASCII']
/** One lock for all schemas of a database: migrating is rare. */
const LOCK = "select pg_advisory_xact_lock(hashtext('keelson.migrate'))"
/** Migrations of a large table may take long, and nine other processes may queue for the lock. */
const STALL = '10m'

/**
 * A schema's name as it may stand in SQL.
 * @throws KernelError OPTION_INVALID
 */
export function checkSchema(schema: unknown): string {
  if (typeof schema === 'string' && SCHEMA.test(schema)) return schema
  throw new KernelError('OPTION_INVALID', `"schema" must match ${SCHEMA} (got ${show(schema)})`)
}

/**
 * Applies what is missing, in one transaction under an advisory lock: any number of processes may call it at once.
 * A store's own schema wins over `schema` (default 'keelson'). Ids that this version does not know are left alone.
 * @throws KernelError MIGRATION_CHANGED when a known id has other content; OPTION_INVALID for a database whose encoding
 * cannot keep every text.
 */
export async function migrate(
  db: DatabaseLike,
  of: readonly Migratable[],
  o: { schema?: string } = {},
): Promise<{ applied: string[] }> {
  const planned = plan('migrate', of, o)
  const applied = await unit(db, {
    open: [{ text: LOCK }],
    // What another process has applied while this one waited must be seen.
    isolation: 'read committed',
    stall: STALL,
    openTimeout: STALL,
    work: async (tx) => {
      const names: string[] = []
      for (const schema of new Set(planned.map((migration) => migration.schema))) {
        const done = await readApplied(tx, schema)
        for (const migration of planned.filter((one) => one.schema === schema)) {
          if (isApplied(migration, done)) continue
          for (const text of [...migration.statements, record(migration)]) await tx.query(text)
          done.set(`${migration.package}/${migration.id}`, migration.sha256)
          names.push(`${migration.package}/${migration.id}`)
        }
      }
      return { end: 'commit', statements: [], value: names }
    },
  })
  return { applied }
}

/** The same SQL as text, for psql or a review. It may be run twice only where a migration itself may. */
export function printMigrations(of: readonly Migratable[], o: { schema?: string } = {}): string {
  const planned = plan('printMigrations', of, o)
  const schemas = [...new Set(planned.map((migration) => migration.schema))]
  const statements = [
    'begin',
    LOCK,
    ...schemas.flatMap(createTable),
    ...planned.flatMap((migration) => [...migration.statements, record(migration)]),
    'commit',
  ]
  return statements.map((statement) => `${statement};\n`).join('\n')
}

function plan(owner: string, of: readonly Migratable[], o: { schema?: string }): Planned[] {
  if (!Array.isArray(of)) throw notMigratable(owner, of)
  const { schema } = checkOptions(owner, o, { schema: opt.string('keelson', { match: SCHEMA }) })
  return of.flatMap((one: Migratable) => {
    if (typeof one !== 'object' || one === null) throw notMigratable(owner, one)
    const target = checkSchema(('schema' in one ? one.schema : undefined) ?? schema)
    const migrations: unknown = 'migrations' in one ? one.migrations : [one]
    if (!areMigrations(migrations)) throw notMigratable(owner, one)
    return migrations.map((migration) => ({
      ...migration,
      schema: target,
      sha256: sha256(migration.statements.join(';\n')),
      statements: migration.statements.map((statement) => statement.replaceAll('{schema}', target)),
    }))
  })
}

function areMigrations(found: unknown): found is readonly Migration[] {
  return (
    Array.isArray(found) &&
    found.every(
      (one: Partial<Migration> | null) =>
        typeof one?.package === 'string' && typeof one.id === 'string' && Array.isArray(one.statements),
    )
  )
}

function notMigratable(owner: string, found: unknown): KernelError {
  return new KernelError(
    'OPTION_INVALID',
    `${owner}: pass an array of stores with \`migrations\`, or of migrations (got ${show(found)})`,
  )
}

function createTable(schema: string): string[] {
  return [
    `create schema if not exists ${schema}`,
    `create table if not exists ${schema}.migrations (
  package text not null,
  id text not null,
  sha256 text not null,
  applied_at timestamptz not null default now(),
  primary key (package, id)
)`,
  ]
}

function record({ schema, package: owner, id, sha256 }: Planned): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
  return `insert into ${schema}.migrations (package, id, sha256) values (${[owner, id, sha256].map(quote).join(', ')})`
}

/** Reads before it creates, so that an application without DDL rights starts on a schema that is up to date. */
async function readApplied(tx: Tx, schema: string): Promise<Map<string, string>> {
  const { rows } = await tx.query(
    "select to_regclass($1) is not null as there, current_setting('server_encoding') as encoding",
    [`${schema}.migrations`],
  )
  const { there, encoding } = rows[0] as { there: boolean; encoding: string }
  if (!ENCODINGS.includes(encoding)) {
    throw new KernelError(
      'OPTION_INVALID',
      `migrate: the database has the encoding ${encoding}, which has no place for many a text: it must be UTF8`,
    )
  }
  if (!there) {
    for (const text of createTable(schema)) await tx.query(text)
  }
  const known = await tx.query(`select package, id, sha256 from ${schema}.migrations`)
  return new Map(
    known.rows.map((row: { package: string; id: string; sha256: string }) => [`${row.package}/${row.id}`, row.sha256]),
  )
}

function isApplied(migration: Planned, done: ReadonlyMap<string, string>): boolean {
  const sha256 = done.get(`${migration.package}/${migration.id}`)
  if (sha256 !== undefined && sha256 !== migration.sha256) {
    throw new KernelError(
      'MIGRATION_CHANGED',
      `migration ${migration.package}/${migration.id} was applied to schema ${migration.schema} with other content`,
    )
  }
  return sha256 !== undefined
}
