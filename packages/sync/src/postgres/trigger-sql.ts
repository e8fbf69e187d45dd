import { checkOptions, isScope, opt } from '@keelson/kernel'
import { checkSchema } from '@keelson/kernel/postgres'
import { SyncError } from '../error.ts'

/** Which rows are records, and what of them. */
export interface TriggerOptions {
  /** 'tasks', 'app.tasks', or ['app', 'tasks'] where a name has a dot. */
  readonly table: string | readonly string[]
  /** The column that is a record's id: its text must be one of 1 to 128 characters of `[A-Za-z0-9_.:~-]`. */
  readonly id: string
  /** The collection. */
  readonly c: string
  /** Text with columns in braces: 'acme/team:{team}'. A row where one of them is null is nobody's, and no record. */
  readonly scope: string
  /** Columns that are fields of the same name, or a column for each field. */
  readonly columns: readonly string[] | { readonly [field: string]: string }
  /** The person a row is about, as `scope`: what the collection's `subject(doc)` answers. Erasure and export need it. */
  readonly subject?: string
  /** Of the store. Default 'keelson'. */
  readonly schema?: string
}

const MAX_COLUMNS = 200
const NAME_BYTES = 63
const COLLECTION = /^[a-z][a-z0-9_]{0,62}$/

const SPEC = {
  table: opt.required(opt.custom<TriggerOptions['table']>('the name of a table, with or without its schema', isTable)),
  id: opt.required(opt.custom<string>('the name of a column', isName)),
  c: opt.required(opt.string('', { match: COLLECTION, allowed: 'the name of a collection' })),
  scope: opt.required(opt.custom<string>("a text such as 'acme/team:{team}', with columns in braces", isTemplate)),
  columns: opt.required(opt.custom<TriggerOptions['columns']>(`1 to ${MAX_COLUMNS} columns`, isColumns)),
  subject: opt.custom<string>("a text such as '{owner}', with columns in braces", isTemplate),
  schema: opt.string('keelson'),
}

/**
 * One SQL statement that makes rows of a table records, whoever writes them: other programs, psql, COPY, a cascade. Run it
 * as often as you like, behind the store's migrations, in a migration of your own. Statements fire it once, not each row;
 * what they change is in their own transaction.
 *
 * Insert is a put, delete a delete, update a patch of what changed; another scope is a move, another id a delete and a put.
 * As a `change` they win over what they meet. An update makes no record and brings none back. Values are what to_jsonb
 * makes of them, times in UTC, null null. TRUNCATE is not heard, nor what `session_replication_role` switches off.
 *
 * No echo: a push leaves its records out while `apply` writes them, which a setting of the transaction says; other rows
 * that `apply` writes are changes. What `change` wrote before in the same transaction is there already, so it is none.
 * @throws SyncError OPTION_INVALID; KernelError OPTION_INVALID for the schema
 */
export function triggerSql(options: TriggerOptions): string {
  const checked = checkOptions('triggerSql', options, SPEC, optionFailure)
  const { id, c, scope, columns, subject } = checked
  const schema = checkSchema(checked.schema)
  const table = tableParts(checked.table).map(identifier).join('.')
  const fields = fieldsOf(columns).map(([field, column]) => `(${literal(field)}, to_jsonb(r.${identifier(column)}))`)
  const row = [
    `r.${identifier(id)}::text as id`,
    `${template(scope)} as scope`,
    `${subject === undefined ? 'null::text' : template(subject)} as subject`,
    `(select jsonb_object_agg(v.field, coalesce(v.value, 'null')) from (values ${fields.join(', ')}) as v(field, value)) as doc`,
  ].join(', ')
  const create = EVENTS.map(({ event, rows }) => {
    const name = identifier(`keelson_sync_${event}_${c}`.slice(0, NAME_BYTES))
    return `create or replace trigger ${name} after ${event} on ${table} referencing ${rows} for each statement
    execute function ${schema}.sync_rows(${literal(c)}, ${literal(row)});`
  })
  // What is misspelt fails here, not in the first statement that somebody else sends.
  const body = `begin
  perform ${row} from ${table} as r limit 0;
  ${create.join('\n  ')}
end`
  return `do ${dollar(body)}`
}

const EVENTS = [
  { event: 'insert', rows: 'new table as keelson_new' },
  { event: 'update', rows: 'old table as keelson_old new table as keelson_new' },
  { event: 'delete', rows: 'old table as keelson_old' },
] as const

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Also where standard_conforming_strings is off. */
function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

function dollar(body: string): string {
  let tag = '$keelson$'
  while (body.includes(tag)) tag = `${tag.slice(0, -1)}_$`
  return `${tag}\n${body}\n${tag}`
}

/** Null where a column is. */
function template(text: string): string {
  const parts = text.split(/\{([^{}]*)\}/)
  const words = parts.flatMap((part, i) => {
    if (i % 2 === 1) return [`r.${identifier(part)}::text`]
    return part === '' ? [] : [literal(part)]
  })
  return words.length === 1 && parts.length === 1 ? `${words[0]}::text` : words.join(' || ')
}

function tableParts(table: TriggerOptions['table']): readonly string[] {
  return typeof table === 'string' ? table.split('.') : table
}

function fieldsOf(columns: TriggerOptions['columns']): readonly (readonly [field: string, column: string])[] {
  return Array.isArray(columns) ? columns.map((name: string) => [name, name] as const) : Object.entries(columns)
}

function isName(given: unknown): given is string {
  if (typeof given !== 'string' || given === '' || given.includes('\0') || !given.isWellFormed()) return false
  return Buffer.byteLength(given) <= NAME_BYTES
}

function isTable(given: unknown): boolean {
  if (typeof given !== 'string' && !Array.isArray(given)) return false
  const parts = tableParts(given as TriggerOptions['table'])
  return parts.length >= 1 && parts.length <= 2 && parts.every(isName)
}

function isTemplate(given: unknown): boolean {
  if (typeof given !== 'string' || given === '') return false
  const parts = given.split(/\{([^{}]*)\}/)
  const isWhole = parts.every((part, i) => (i % 2 === 1 ? isName(part) : !/[{}]/.test(part)))
  return isWhole && parts.every((part, i) => i % 2 === 1 || part === '' || isScope(part))
}

function isColumns(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const fields = fieldsOf(given as TriggerOptions['columns'])
  const names = new Set(fields.map(([field]) => field))
  if (fields.length === 0 || fields.length > MAX_COLUMNS || names.size < fields.length) return false
  return fields.every(([field, column]) => isField(field) && isName(column))
}

const isField = (field: unknown): boolean =>
  typeof field === 'string' && field !== '__proto__' && !field.includes('\0') && field.isWellFormed()

const optionFailure = (message: string): SyncError => new SyncError('OPTION_INVALID', message)
