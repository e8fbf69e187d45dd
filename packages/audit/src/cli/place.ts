import type { Arguments } from './arguments.ts'
import { Failure } from './failure.ts'

/** A log in a store. */
export type StorePlace =
  | { readonly kind: 'dir'; readonly dir: string; readonly log: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly schema: string; readonly log: string }

/** A log, or a copy of its tree. */
export type Place = StorePlace | { readonly kind: 'tiles'; readonly dir: string }

type StoreFlags = Arguments<'dir' | 'database-url' | 'schema' | 'log'>['flags']
type Environment = Readonly<Record<string, string | undefined>>

const LOG = 'main'
const SCHEMA = 'keelson'
const STORES = '--dir DIR or --database-url URL'

/** Where the log is. @throws Failure */
export function placeOf(
  { dir, schema, log = LOG, ...flags }: StoreFlags,
  env: Environment,
  places: string = STORES,
): StorePlace {
  if (dir !== undefined && flags['database-url'] !== undefined) {
    throw new Failure(`one place is needed: ${places} (got two)`)
  }
  if (dir !== undefined) {
    if (schema !== undefined) throw new Failure('--schema is of Postgres, and does not go with --dir')
    return { kind: 'dir', dir, log }
  }
  const url = flags['database-url'] ?? env['DATABASE_URL']
  if (url === undefined) throw new Failure(`a place is needed: ${places}, or DATABASE_URL in the environment`)
  // It may have a password: it is not shown.
  if (!/^postgres(ql)?:\/\//.test(url)) throw new Failure('--database-url must begin with postgres://')
  return { kind: 'postgres', url, schema: schema ?? SCHEMA, log }
}

/** Where the log is, or a copy of its tree. @throws Failure */
export function anyPlaceOf(flags: StoreFlags & Arguments<'tiles'>['flags'], env: Environment): Place {
  const { tiles, ...others } = flags
  if (tiles === undefined) return placeOf(others, env, `--tiles DIR, ${STORES}`)
  const other = (['dir', 'database-url', 'schema', 'log'] as const).find((name) => others[name] !== undefined)
  if (other === undefined) return { kind: 'tiles', dir: tiles }
  throw new Failure(`--tiles is a place of its own, and --${other} does not go with it`)
}
