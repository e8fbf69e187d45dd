import { ReadableStream } from 'node:stream/web'
import type { Audit, AuditErrorCode, Entry } from '@keelson/audit'
import {
  checkOptions,
  context,
  isKeelsonError,
  opt,
  type KeelsonError,
  type Principal,
  type StoredResponse,
} from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import { HttpProblem, problem } from '../problem.ts'
import { statusOfCode, type Mistake } from '../status-table.ts'
import { json, kept, textAnswer } from './answer.ts'
import { QUERY, queryFrom } from './audit-query.ts'
import { AUTHORIZE, type Authorize } from './authorize.ts'
import { pageOf, queryOf } from './query-of.ts'
import { apiOf, type ApiCall } from './router.ts'
import { SCOPE, scopeReader, type ApiScope } from './scope.ts'

/** What the API needs of `createAudit()`. */
export type AuditLogLike = Pick<Audit, 'get' | 'query' | 'export' | 'proof' | 'checkpoint' | 'tile'>

/** What `auditApi` takes. */
export interface AuditApiOptions {
  /** Renders problems, and logs those that are no client's mistake. */
  readonly http: { problem(error: unknown): StoredResponse }
  readonly audit: AuditLogLike
  /** Whose entries a request may see; '*' is everybody's. Undefined is an error (500). Nothing of the request overrides it. */
  readonly scope: ApiScope
  /** Required: what people did is told here. 'public' is spelled out. */
  readonly authorize: Authorize
}

const METHODS = ['get', 'query', 'export', 'proof', 'checkpoint', 'tile'] as const

const SPEC = {
  http: opt.required(opt.port<AuditApiOptions['http']>(['problem'])),
  audit: opt.required(opt.port<AuditLogLike>(METHODS)),
  scope: opt.required(SCOPE),
  authorize: AUTHORIZE,
}

/** What would be the application's mistake in a call of its own is the client's here, or still ours. */
const STATUS = {
  INPUT_INVALID: 400,
  ENTRY_INVALID: 400,
  OPTION_INVALID: 500,
  SCOPE_INVALID: 500,
  ACTION_UNKNOWN: 500,
  PRIVACY_NOT_CONFIGURED: 500,
  STORE_LOCKED: 500,
  STORE_CORRUPT: 500,
  STORE_NOT_TRANSACTIONAL: 500,
} satisfies Record<AuditErrorCode & Mistake, number>

const ALL = '*'
const PLAIN = 'text/plain; charset=utf-8'
/** What a tile says is final as soon as it is full. */
const FOR_EVER = 'max-age=31536000, immutable'
/** Of a chunk of an export, about. */
const CHUNK_CHARACTERS = 65_536

/**
 * The audit log of one scope, to be read: `/entries`, `/entries/:id` and its proof, `/checkpoint`, `/export`, and the
 * static tree under `/tile`. Pages by `?after=` and `?limit=`: `{ items, next }`.
 * @throws HttpError OPTION_INVALID
 */
export function auditApi(options: AuditApiOptions): FetchHandler {
  const { http, audit, scope, authorize } = checkOptions('auditApi', options, SPEC, optionFailure)
  const scopeOf = scopeReader('auditApi', scope)
  const cacheControl = `${authorize === 'public' ? 'public' : 'private'}, ${FOR_EVER}`

  /** One of these that is not theirs is none to others, whether its bytes are still kept or not. */
  async function entryFor(scope: string, id: string): Promise<Entry> {
    try {
      const entry = await audit.get(id)
      if (entry !== undefined && isSeenBy(scope, entry.scope)) return entry
    } catch (error) {
      if (!isKeelsonError(error, 'PRUNED') || isSeenBy(scope, ownerOf(error))) throw error
    }
    throw noEntry(id)
  }

  async function proofFor(scope: string, id: string): Promise<string> {
    // It says whether an entry is only to come.
    const proof = await audit.proof(id)
    try {
      await entryFor(scope, id)
    } catch (error) {
      // The proof of an entry outlives its bytes.
      if (!isKeelsonError(error, 'PRUNED')) throw error
    }
    return proof
  }

  async function exported({ request, searchParams }: ApiCall): Promise<Response> {
    const query = { ...queryFrom(queryOf(searchParams, QUERY)), scope: await scopeOf(request) }
    const chunks = chunksOf(audit.export(query, byOf()))
    // What is wrong with it is a problem, and no half of an answer.
    const first = await chunks.next()
    return new Response(streamOf(first, chunks) as never, { headers: { 'Content-Type': 'application/jsonl' } })
  }

  /** A bundle has the entries of all scopes, a tile nothing but hashes. */
  async function tile({ request, params }: ApiCall<'/tile/*path'>): Promise<Response> {
    const path = `tile/${params.path}`
    const scope = await scopeOf(request)
    const isSeen = scope === ALL || !path.startsWith('tile/entries/')
    const bytes = isSeen ? await audit.tile(path) : undefined
    if (bytes === undefined) throw problem(404, 'not-found')
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(bytes.length) }
    const answer = new Response(bytes as Uint8Array<ArrayBuffer>, { headers })
    return path.includes('.p/') ? answer : kept(answer, cacheControl)
  }

  return apiOf(
    {
      '/entries': {
        async GET({ request, searchParams }) {
          const { after, limit, ...rest } = queryOf(searchParams, [...QUERY, 'after', 'limit'])
          const query = { ...queryFrom(rest), ...pageOf({ after, limit }), scope: await scopeOf(request) }
          const { entries, next = null } = await audit.query(query, byOf().by)
          return json({ items: entries.map((entry) => ({ ...entry, bytes: undefined })), next })
        },
      },
      '/entries/:id': {
        async GET({ request, params }) {
          const { bytes, ...entry } = await entryFor(await scopeOf(request), params.id)
          return json({ ...entry, bytes: Buffer.from(bytes).toString('base64') })
        },
      },
      '/entries/:id/proof': {
        GET: async ({ request, params }) => textAnswer(await proofFor(await scopeOf(request), params.id), PLAIN),
      },
      '/checkpoint': { GET: async () => textAnswer(await audit.checkpoint(), PLAIN) },
      '/export': { GET: exported },
      '/tile/*path': { GET: tile },
    },
    { authorize, problem: (error) => http.problem(asProblem(error)) },
  )
}

/** Who reads. */
function byOf(): { by?: Principal } {
  const by = context.get()?.principal
  return by === undefined ? {} : { by }
}

const isSeenBy = (scope: string, owner: string | undefined): boolean => scope === ALL || scope === owner

function ownerOf({ details }: KeelsonError): string | undefined {
  const { scope }: { readonly scope?: string } = details ?? {}
  return scope
}

function noEntry(id: string): HttpProblem {
  return problem(404, 'not-found', { detail: `there is no entry '${id}'` })
}

async function* chunksOf(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array, void> {
  let text = ''
  for await (const line of lines) {
    text += line
    if (text.length < CHUNK_CHARACTERS) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}

/** Not by `ReadableStream.from` and a generator: one whose stream is cancelled before it was read would never end `rest`. */
function streamOf(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void>,
): ReadableStream<Uint8Array> {
  let known: typeof first | undefined = first
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = known ?? (await rest.next())
        known = undefined
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: async () => void (await rest.return()),
    },
    { highWaterMark: 0 },
  )
}

/** A refusal that the client can do something about; anything else as it is. */
function asProblem(error: unknown): unknown {
  if (!isKeelsonError(error) || error.name !== 'AuditError') return error
  const { code, message: detail, retryable } = error
  const status = Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : statusOfCode(code)
  return status >= 500 ? error : new HttpProblem(status, code, { detail, retryable, cause: error })
}
