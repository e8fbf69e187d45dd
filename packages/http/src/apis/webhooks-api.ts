import { checkOptions, isKeelsonError, opt, type StoredResponse } from '@keelson/kernel'
import type { Ref, WebhookErrorCode, Webhooks } from '@keelson/webhooks'
import { optionFailure } from '../error.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import { HttpProblem } from '../problem.ts'
import { statusOfCode, type Mistake } from '../status-table.ts'
import { json } from './answer.ts'
import { AUTHORIZE, type Authorize } from './authorize.ts'
import { jsonBody } from './json-body.ts'
import { datesOf, invalid, pageOf, queryOf } from './query-of.ts'
import { apiOf, type ApiCall } from './router.ts'
import { SCOPE, scopeReader, type ApiScope } from './scope.ts'

/** What the API needs of `createWebhooks()`. */
export type WebhooksLike = Pick<Webhooks, 'endpoints' | 'events' | 'deliveries' | 'signingKeys'>

/** What `webhooksApi` takes. */
export interface WebhooksApiOptions {
  /** Renders problems, and logs those that are no client's mistake. */
  readonly http: { problem(error: unknown): StoredResponse }
  readonly webhooks: WebhooksLike
  /** Whose webhooks a request is about; undefined is an error (500), never everybody's. Nothing of the request overrides it. */
  readonly scope: ApiScope
  /** Required: secrets are told here. 'public' is spelled out. */
  readonly authorize: Authorize
}

const SPEC = {
  http: opt.required(opt.port<WebhooksApiOptions['http']>(['problem'])),
  webhooks: opt.required(
    opt.custom<WebhooksLike>('what createWebhooks() answers', (given) =>
      ['endpoints', 'events', 'deliveries', 'signingKeys'].every(
        (name) => typeof (given as Partial<Record<string, unknown>> | null)?.[name] === 'object',
      ),
    ),
  ),
  scope: opt.required(SCOPE),
  authorize: AUTHORIZE,
}

/** What would be the application's mistake in a call of its own is the client's here, or still ours. */
const STATUS = {
  INPUT_INVALID: 400,
  URL_REFUSED: 400,
  OVERLAP_NOT_SUPPORTED: 400,
  UNKNOWN_EVENT_TYPE: 400,
  SCHEMA_FAILED: 400,
  PAYLOAD_NOT_JSON: 400,
  OPTION_INVALID: 500,
  SCOPE_INVALID: 500,
  SCHEMA_ASYNC: 500,
  STORE_NOT_TRANSACTIONAL: 500,
  DECRYPT_FAILED: 500,
  BODY_NOT_RAW: 500,
} satisfies Record<WebhookErrorCode & Mistake, number>

const PAGE = ['after', 'limit'] as const
const DELIVERIES = ['endpoint', 'event', 'type', 'status', 'from', 'to', ...PAGE] as const

type Body = Readonly<Record<string, unknown>>
type Row = ApiCall<'/:id'>

/**
 * Webhooks of one scope as its owner manages them: `/endpoints` and what is done with one, `/deliveries` and their
 * attempts, `/redrives`, `/events/:id`, `/signing-keys`. Pages by `?after=` and `?limit=`: `{ items, next }`.
 * @throws HttpError OPTION_INVALID
 */
export function webhooksApi(options: WebhooksApiOptions): FetchHandler {
  const { http, webhooks, scope, authorize } = checkOptions('webhooksApi', options, SPEC, optionFailure)
  const { endpoints, events, deliveries, signingKeys } = webhooks

  const scopeOf = scopeReader('webhooksApi', scope)

  /** Of a list, or a new row. */
  const onAll =
    (run: (scope: string, call: ApiCall) => Promise<unknown>, status?: number) =>
    async (call: ApiCall): Promise<Response> =>
      answer(await run(await scopeOf(call.request), call), status)

  const onRow =
    (run: (ref: Ref, call: Row) => Promise<unknown>, status?: number) =>
    async (call: Row): Promise<Response> =>
      answer(await run({ scope: await scopeOf(call.request), id: call.params.id }, call), status)

  /** A row is changed as the body says; the core knows its members. */
  const change = (run: (input: any) => Promise<unknown>) =>
    onRow(async (ref, { request }) => run({ ...(await inputOf(request)), ...ref }))

  /** A row is changed; there is nothing to say. */
  const touch = (run: (ref: Ref) => Promise<unknown>, status?: number) =>
    onRow(async (ref, { request }) => {
      const [member] = Object.keys(await inputOf(request))
      if (member !== undefined) throw invalid(`unknown member "${member}"; none is allowed`)
      return run(ref)
    }, status)

  return apiOf(
    {
      '/endpoints': {
        GET: onAll(async (scope, { searchParams }) =>
          endpoints.list({ ...pageOf(queryOf(searchParams, PAGE)), scope }),
        ),
        POST: onAll(
          async (scope, { request }) => endpoints.create({ ...(await inputOf(request)), scope } as never),
          201,
        ),
      },
      '/endpoints/:id': {
        GET: onRow((ref) => endpoints.get(ref)),
        PATCH: onRow(async (ref, { request }) => {
          const { revision, ...set } = await inputOf(request)
          return endpoints.update({
            ...ref,
            set,
            ...(revision === undefined ? {} : { revision: revisionOf(revision) }),
          })
        }),
        DELETE: onRow((ref) => endpoints.delete(ref)),
      },
      '/endpoints/:id/pause': { POST: touch((ref) => endpoints.pause(ref)) },
      '/endpoints/:id/resume': { POST: touch((ref) => endpoints.resume(ref)) },
      '/endpoints/:id/enable': { POST: touch((ref) => endpoints.enable(ref)) },
      '/endpoints/:id/disable': { POST: change((input) => endpoints.disable(input)) },
      '/endpoints/:id/ping': { POST: touch((ref) => endpoints.ping(ref), 202) },
      '/endpoints/:id/rotate-secret': { POST: change((input) => endpoints.rotateSecret(input)) },
      '/endpoints/:id/secrets': { GET: onRow(async (ref) => ({ items: await endpoints.secrets(ref) })) },
      '/endpoints/:id/public-keys': { GET: onRow((ref) => endpoints.publicKeys(ref)) },
      '/endpoints/:id/cancel': {
        POST: touch(async ({ scope, id }) => {
          await endpoints.get({ scope, id })
          return { cancelled: await deliveries.cancel({ scope, endpoint: id }) }
        }),
      },
      '/deliveries': {
        GET: onAll(async (scope, { searchParams }) => {
          const { after, limit, ...query } = queryOf(searchParams, DELIVERIES)
          return deliveries.list({ ...datesOf(query), ...pageOf({ after, limit }), scope })
        }),
      },
      '/deliveries/:id': { GET: onRow((ref) => deliveries.get(ref)) },
      '/deliveries/:id/attempts': {
        GET: onRow(async (ref, { searchParams }) =>
          deliveries.attempts({ ...pageOf(queryOf(searchParams, PAGE)), ...ref }),
        ),
      },
      '/deliveries/:id/retry': { POST: touch((ref) => deliveries.retry(ref)) },
      '/deliveries/:id/cancel': {
        POST: touch(async ({ scope, id }) => {
          await deliveries.get({ scope, id })
          return { cancelled: await deliveries.cancel({ scope, id }) }
        }),
      },
      '/redrives': {
        POST: onAll(
          async (scope, { request }) => deliveries.redrive({ ...datesOf(await inputOf(request)), scope }),
          202,
        ),
      },
      '/redrives/:id': { GET: onRow((ref) => deliveries.redriveStatus(ref)) },
      '/events/:id': { GET: onRow((ref) => events.get(ref)) },
      '/signing-keys': {
        GET: onAll(async (scope, { searchParams }) => ({
          items: await signingKeys.list({ ...queryOf(searchParams, ['principal']), scope }),
        })),
        POST: onAll(
          async (scope, { request }) => signingKeys.create({ ...(await inputOf(request)), scope } as never),
          201,
        ),
      },
      '/signing-keys/:id': { DELETE: onRow(({ scope, id }) => signingKeys.revoke({ scope, keyId: id })) },
      '/signing-keys/:id/rotate': {
        POST: onRow(async ({ scope, id }, { request }) =>
          signingKeys.rotate({ ...(await inputOf(request)), scope, keyId: id }),
        ),
      },
    },
    { authorize, problem: (error) => http.problem(asProblem(error)) },
  )
}

/** 204 for what has nothing to say. */
function answer(value: unknown, status = 200): Response {
  return value === undefined ? new Response(null, { status: 204 }) : json(value, status)
}

/** What a client says of a row: never whose it is, nor which. */
async function inputOf(request: Request): Promise<Body> {
  const body = await jsonBody(request)
  const own = ['scope', 'id', 'keyId'].find((name) => Object.hasOwn(body, name))
  if (own !== undefined) throw invalid(`unknown member "${own}": the path and the credentials say it`)
  return body
}

function revisionOf(given: unknown): number {
  if (Number.isSafeInteger(given)) return given as number
  throw invalid(`"revision" must be an integer`)
}

/** A refusal that the client can do something about; anything else as it is. */
function asProblem(error: unknown): unknown {
  if (!isKeelsonError(error) || error.name !== 'WebhookError') return error
  const { code, message: detail, retryable, details: extra } = error
  const status = Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : statusOfCode(code)
  if (status >= 500) return error
  return new HttpProblem(status, code, { detail, retryable, cause: error, ...(extra === undefined ? {} : { extra }) })
}
