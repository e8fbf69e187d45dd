import { checkOptions, context, isKeelsonError, opt, type Principal, type StoredResponse } from '@keelson/kernel'
import type { Caller, Conflict, Sync } from '@keelson/sync'
import { optionFailure } from '../error.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import { HttpProblem, problem } from '../problem.ts'
import { statusOfCode } from '../status-table.ts'
import { json } from './answer.ts'
import type { Authorize } from './authorize.ts'
import { jsonBody } from './json-body.ts'
import { invalid, pageOf, queryOf } from './query-of.ts'
import { apiOf, type ApiCall } from './router.ts'
import { SCOPE, scopeReader, type ApiScope } from './scope.ts'

/** What the API needs of `createSync()`. */
export type SyncLike = Pick<Sync, 'push' | 'pull' | 'conflicts' | 'status' | 'bodyBytes'>

/** What `syncApi` takes. */
export interface SyncApiOptions {
  /** Renders problems, and logs those that are no client's mistake. */
  readonly http: { problem(error: unknown): StoredResponse }
  readonly sync: SyncLike
  /** The tenant of a request; undefined is an error (500). What a caller sees of it is for the `scopes` of sync to say. */
  readonly scope: ApiScope
  /** Required: every edit is somebody's, so nothing here is public. */
  readonly authorize: Exclude<Authorize, 'public'>
}

const SPEC = {
  http: opt.required(opt.port<SyncApiOptions['http']>(['problem'])),
  sync: opt.required(opt.custom<SyncLike>('what createSync() answers', isSync)),
  scope: opt.required(SCOPE),
  authorize: opt.required(opt.fn<SyncApiOptions['authorize']>()),
}

/** How push and pull refuse a body that is no JSON, as any other request that is none. */
const REQUEST_INVALID = 'request-invalid'

type One = ApiCall<'/:collection'>

/**
 * Sync for devices, version 1 of the wire: `/pull` and `/push`, the same below `/:collection`, `/conflicts` and their
 * decision, `/status/:client`. A pull that waits ends with its client, and not by the deadline of a request.
 * @throws HttpError OPTION_INVALID
 */
export function syncApi(options: SyncApiOptions): FetchHandler {
  const { http, sync, scope, authorize } = checkOptions('syncApi', options, SPEC, optionFailure)
  const scopeOf = scopeReader('syncApi', scope)

  async function callerOf({ request }: ApiCall): Promise<Caller> {
    const principal = context.get()!.principal!
    return { principal, scope: await scopeOf(request) }
  }

  async function push(call: ApiCall, route: { collection?: string } = {}): Promise<Response> {
    const who = await callerOf(call)
    const body = await jsonBody(call.request, { maxBytes: sync.bodyBytes, code: REQUEST_INVALID })
    // The core knows its members.
    return json(await sync.push(who, body as never, route))
  }

  async function pull(call: ApiCall, route: { collection?: string } = {}): Promise<Response> {
    const who = await callerOf(call)
    const body = await jsonBody(call.request, { code: REQUEST_INVALID })
    const answer = () => sync.pull(who, body as never, { ...route, signal: call.request.signal })
    return json(await (isWaiting(body) ? withoutDeadline(who.principal, answer) : answer()))
  }

  return apiOf(
    {
      // In front of collections, which have none of these names: a client may be called 'pull'.
      '/conflicts': {
        async GET(call) {
          const { status, ...page } = queryOf(call.searchParams, ['status', 'after', 'limit'])
          const query = { ...pageOf(page), ...(status === undefined ? {} : { status: status as 'open' }) }
          const { items, next } = await said(sync.conflicts.list(await callerOf(call), query))
          return json({ items: items.map(shown), next })
        },
      },
      '/conflicts/:id': {
        async POST(call) {
          const who = await callerOf(call)
          const decision = decisionOf(await jsonBody(call.request, { maxBytes: sync.bodyBytes }))
          return json(shown(await said(sync.conflicts.resolve(who, call.params.id, decision as never))))
        },
      },
      '/status/:client': {
        async GET(call) {
          const state = await sync.status(await callerOf(call), call.params.client)
          if (state === undefined) throw problem(404, 'not-found', { detail: 'there is no such client of yours' })
          return json(state)
        },
      },
      '/push': { POST: (call) => push(call) },
      '/pull': { POST: (call) => pull(call) },
      '/:collection/push': { POST: (call: One) => push(call, call.params) },
      '/:collection/pull': { POST: (call: One) => pull(call, call.params) },
    },
    { authorize, problem: (error) => http.problem(asProblem(error)) },
  )
}

function isSync(given: unknown): boolean {
  const { push, pull, conflicts, status, bodyBytes } = (given ?? {}) as Partial<Record<string, unknown>>
  const isMade = [push, pull, status].every((method) => typeof method === 'function') && typeof conflicts === 'object'
  return isMade && typeof bodyBytes === 'number'
}

/** The core says what is wrong with it. */
const isWaiting = ({ waitMs }: Readonly<Record<string, unknown>>): boolean => typeof waitMs === 'number' && waitMs > 0

/** It says by itself how long it may take; its ids stay. */
const withoutDeadline = <T>(principal: Principal, fn: () => T): T =>
  context.resume(context.carry(), () => context.run({ principal }, fn))

/** Names of scopes do not travel: `s` is what a device knows one by. */
function shown({ scope: _scope, ...conflict }: Conflict): object {
  return conflict
}

function decisionOf(body: Readonly<Record<string, unknown>>): object {
  const other = Object.keys(body).find((name) => name !== 'take' && name !== 'doc')
  if (other !== undefined) throw invalid(`unknown member "${other}"; known are take, doc`)
  return body
}

/** What would be the application's mistake in a call of its own is the client's here. */
async function said<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw isKeelsonError(error, 'INPUT_INVALID') ? invalid(error.message) : error
  }
}

/** A refusal that the client can do something about; anything else as it is. */
function asProblem(error: unknown): unknown {
  if (!isKeelsonError(error) || error.name !== 'SyncError') return error
  const { code, message: detail, retryable, retryAfter, details: extra } = error
  const status = statusOfCode(code)
  if (status >= 500) return error
  return new HttpProblem(status, code, {
    detail,
    retryable,
    cause: error,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(extra === undefined ? {} : { extra }),
  })
}
