import type { CacheStore } from '@keelson/cache'
import type { IdempotencyStore, TransactionalStore } from '@keelson/idempotency'
import type { Tx } from '@keelson/kernel'
import type { DatabaseLike } from '@keelson/kernel/postgres'
import type { Exchange } from '../exchange.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import type { Http } from '../http.ts'
import type { Operation } from '../operation.ts'
import type { RoutePolicy } from '../policy.ts'

/**
 * What a handler does, in the framework's own way. Each first awaits `route.enter()`, and answers 200 unless it is said
 * otherwise; `sample` has the contents.
 *
 * - `json`: 201, `sample.json`; `text`: `sample.text`; `buffer`: `sample.bytes`; `empty`: nothing; `no-content`: 204
 * - `head`: of a route for GET, which is asked by HEAD: as `text`
 * - `stream`: a Node stream of `route.pieces()`; `slow-stream`, `never-ends`: each piece is written as it comes
 * - `length-then-late-end`: Content-Length `sample.length`, the pieces as they come, and the end when they are over
 * - `web-response`: 202, a web `Response` of `sample.text` with `sample.headers`; `web-stream`: a web stream of pieces
 * - `file`: the file `sample.file`; `large`: `sample.large`
 * - `write-head-object`, `write-head-array`: node:http's `writeHead(202, ..)` with `sample.headers` as an object of
 *   arrays or as a flat array, and `sample.text`
 * - `latin1`: `sample.text` in that encoding
 * - `two-cookies`: `sample.json` with the lines of `sample.cookies`; `redirect`: 303 to `sample.location`
 * - `throw`: throws `sample.error()`; `throw-4xx`: the framework's own error with status 418
 * - `sse`: `text/event-stream`, each piece is written as it comes
 * - `work`: a transactional route; its handler answers `route.work(tx, op, body)` with the parsed body
 * - `api`: no handler: `route.api` is mounted at `route.path`, for all methods
 * - `echo-context`: `await echoContext(body, ifNoneMatch)` as JSON: the parsed body, and that header as the framework shows it
 */
export type Kind =
  | 'json'
  | 'text'
  | 'buffer'
  | 'empty'
  | 'no-content'
  | 'head'
  | 'stream'
  | 'slow-stream'
  | 'length-then-late-end'
  | 'web-response'
  | 'web-stream'
  | 'file'
  | 'write-head-object'
  | 'write-head-array'
  | 'latin1'
  | 'two-cookies'
  | 'redirect'
  | 'throw'
  | 'throw-4xx'
  | 'never-ends'
  | 'sse'
  | 'large'
  | 'work'
  | 'api'
  | 'echo-context'

/** One route that a subject serves. */
export interface PlanRoute {
  readonly method: string
  /** A template, such as '/items/:id'. */
  readonly path: string
  readonly kind: Kind
  readonly policy?: RoutePolicy
  /** Of the kind 'api'. */
  readonly api?: FetchHandler
  /** Of the kind 'work'. */
  readonly work?: (tx: Tx, op: Operation, body: unknown) => unknown
  /** Each handler awaits it first, and lets it throw. */
  enter(): Promise<void>
  /** What streams are made of: when a piece comes, and the end, is the suite's to tell. It may throw. */
  pieces(): AsyncIterable<string>
}

/** A subject that serves a plan. */
export interface Served {
  /** On the loopback interface, such as 'http://127.0.0.1:49152'. */
  readonly url: string
  /** Ends all connections and the server. */
  close(): Promise<void>
  /** The adapter's part of a shutdown; named in `has` as 'shutdown'. */
  drain?(signal: AbortSignal): Promise<void>
}

/** An adapter under test, on its framework. */
export interface HttpSubject {
  /** 'express 5' */
  readonly name: string
  /**
   * Serves the plan as an application would: the adapter's context first, then the framework's parser of JSON bodies,
   * then for each route: the early part of its policy, if it has one, authentication, the late part, the handler; problems
   * last.
   *
   * The framework's own authentication reads `Authorization: Bearer ann`: ann is the user, 'Bearer nobody' is refused
   * with the framework's own 401, and without the header the request is nobody's and passes. Then it sets each header of
   * `inFront(..)` on the answer, as middleware of the framework does it, from the request header 'x-in-front'.
   */
  start(plan: readonly PlanRoute[], http: Http): Promise<Served>
  /** Where that authentication has left the user. */
  user(x: Exchange): string | undefined
  /** What the framework does not have, and why. */
  readonly unsupported?: Partial<Record<Kind, string>>
  /** Where keys are claimed; default: a memory store for each case. */
  readonly store?: IdempotencyStore
  /** Where answers are cached; default: a memory store for each case. */
  readonly cache?: CacheStore
  /** For the kind 'work'; named in `has` as 'database'. The suite makes tables of its own there, and drops them. */
  readonly database?: { readonly db: DatabaseLike; readonly store: TransactionalStore }
}
