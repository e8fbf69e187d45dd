/** The framework that serves. */
export type Framework = 'Express' | 'Fastify' | NestPlatform
/** Nest, and what it stands on. */
export type NestPlatform = 'Nest on Express' | 'Nest on Fastify'

/** What stands around the handler: nothing, Keelson without a rule, an idempotent rule, an error, SQL; of a GET more. */
export type Kind =
  | 'bare'
  | 'context'
  | 'idempotent'
  | 'end patch'
  | 'bare problem'
  | 'problem'
  | 'sql'
  | 'transaction'
  | 'bare read'
  | 'cached'
  | 'limited, sliding'
  | 'limited, fixed'
  | 'limited by a peer'

/** What the handler answers. */
export const ANSWER = { id: 'ch_0198f0c2', status: 'paid', cents: 990 }

/** Requests a minute: nobody is refused. */
export const LIMIT = 1_000_000_000

/** What it writes where it writes. */
export const INSERT = 'insert into bench_http (cents) values ($1) returning id'
