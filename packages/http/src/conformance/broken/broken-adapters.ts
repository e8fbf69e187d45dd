import { randomUUID } from 'node:crypto'
import { ReadableStream } from 'node:stream/web'
import { setTimeout as sleep } from 'node:timers/promises'
import { context, reply, responseCodec, type StoredResponse } from '@keelson/kernel'
import type { Subject } from '@keelson/kernel/conformance'
import { memoryStore } from '@keelson/idempotency'
import type { RequestVerifier, VerifiedRequest } from '@keelson/webhooks/request-signing'
import type { Verified } from '@keelson/webhooks/verify'
import type { Captured, Exchange, Headers } from '../../exchange.ts'
import type { FetchHandler } from '../../fetch-handler.ts'
import type { AuditedRule, CachedRule, RateRule, ReceiveRule } from '../../policy.ts'
import { asReply } from '../../replies.ts'
import type { HttpSubject } from '../http-subject.ts'
import { CAUGHT_BY } from './caught-by.ts'
import { naiveCapture, type Naive } from './naive-capture.ts'
import { nodeAnswer, noteAnswers } from './node-answer.ts'
import { wrongExchange, wrongHttp, wrongPlan, wrongPolicy, wrongRoute, wrongRule, type Fault } from './wrapped.ts'

type Save = Parameters<Exchange['capture']>[1]

const LATER_MS = 50
/** Nothing here takes so long. */
const LONG_MS = 60_000

/** Another `save` for what is captured. */
const wrongSave = (wrong: (save: Save, x: Exchange) => Save): Fault =>
  wrongExchange((x) => ({ capture: (o, save) => x.capture(o, wrong(save, x)) }))

/** Another answer is kept than the one that was sent. */
const wrongKept = (wrong: (response: StoredResponse) => Partial<StoredResponse>): Fault =>
  wrongSave(
    (save) => (captured) =>
      save(
        captured.kind === 'whole'
          ? { ...captured, response: { ...captured.response, ...wrong(captured.response) } }
          : captured,
      ),
  )

/** Other headers are said to have stood there before the handler. */
const wrongBefore = (wrong: (response: StoredResponse) => Headers): Fault =>
  wrongSave(
    (save) => (captured) =>
      save(captured.kind === 'whole' ? { ...captured, before: wrong(captured.response) } : captured),
  )

const naive = (o: Naive = {}): Fault =>
  wrongExchange((x) => ({ capture: (_, save) => naiveCapture(nodeAnswer(x), save, o) }))

/** Another answer is sent in place of a replay. */
const wrongReplay = (wrong: (response: StoredResponse) => Partial<StoredResponse>): Fault =>
  wrongRoute((route) => ({
    async late(x) {
      const response = await route.late(x)
      const isReplay = response?.headers.some(([name]) => name === 'Idempotent-Replayed') === true
      return isReplay ? { ...response, ...wrong(response) } : response
    },
  }))

/** The store gives an answer back with headers that http would not have given it. */
const wrongStore = (more: (response: StoredResponse) => StoredResponse['headers']): Fault => {
  return () => {
    const store = memoryStore()
    return {
      store: {
        ...store,
        settle(ref, own, as, retainMs) {
          if (as.kind !== 'done') return store.settle(ref, own, as, retainMs)
          const response = responseCodec.decode(as.bytes)
          const bytes = responseCodec.encode({ ...response, headers: [...response.headers, ...more(response)] })
          return store.settle(ref, own, { kind: 'done', bytes }, retainMs)
        },
      },
    }
  }
}

const wrongApi = (wrong: (api: FetchHandler) => FetchHandler): Fault =>
  wrongPlan(({ api }) => (api === undefined ? {} : { api: wrong(api) }))

const wrongAnswer = (wrong: (response: Response) => Response | Promise<Response>): Fault =>
  wrongApi((api) => async (request, info) => wrong(await api(request, info)))

/** Another rule for cached routes. */
const wrongCached = (wrong: Partial<CachedRule>): Fault =>
  wrongPolicy(({ cached }) => (cached === undefined ? {} : { cached: { ...cached, ...wrong } }))

/** Other rules for limited routes. */
const wrongRate = (wrong: (rule: RateRule) => Partial<RateRule>): Fault =>
  wrongPolicy(({ rateLimit }) =>
    rateLimit === undefined ? {} : { rateLimit: [rateLimit].flat().map((rule) => ({ ...rule, ...wrong(rule) })) },
  )

/** Another rule for audited routes. */
const wrongAudited = (wrong: Partial<AuditedRule>): Fault =>
  wrongPolicy(({ audited }) => (audited === undefined ? {} : { audited: { ...audited, ...wrong } }))

/** Another rule for webhooks that come in. */
const wrongReceive = (wrong: (rule: ReceiveRule) => Partial<ReceiveRule>): Fault =>
  wrongPolicy(({ receive }) => (receive === undefined ? {} : { receive: { ...receive, ...wrong(receive) } }))

/** Another answer is sent out of the cache. */
const wrongHit = (wrong: (response: StoredResponse) => Partial<StoredResponse>): Fault =>
  wrongRoute((route) => ({
    async late(x) {
      const response = await route.late(x)
      const isHit = response?.headers.some(([name]) => name === 'Cache-Status') === true
      return isHit ? { ...response, ...wrong(response) } : response
    },
  }))

/** What is wrong, by its name. */
const faults: Readonly<Record<string, Fault>> = {
  // Capture.
  'save after the last byte': wrongSave((save) => async (captured) => {
    void sleep(LATER_MS).then(() => save(captured))
    return undefined
  }),
  'hold on end only': naive(),
  'everything is buffered': naive({ buffers: true }),
  'chunks are kept as UTF-8': naive({ keep: (chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk) }),
  'bodies are kept as strings': wrongKept(({ body }) => ({ body: Buffer.from(Buffer.from(body).toString()) })),
  'the last byte is not kept': wrongKept(({ body }) => ({ body: body.subarray(0, Math.max(0, body.length - 1)) })),
  'the status is not kept': wrongKept(() => ({ status: 200 })),
  'headers are kept as an object': wrongKept(({ headers }) => ({
    headers: Object.entries(Object.fromEntries(headers)),
  })),
  'headers are kept as a joined object': wrongKept(({ headers }) => ({ headers: [...new Headers(headers as [])] })),
  'nothing is captured': wrongExchange(() => ({ capture: () => {} })),
  'headers in front are taken for the handler’s': wrongBefore(() => []),
  'the handler’s headers are taken for those in front': wrongBefore(({ headers }) => headers),
  'what save answers is not sent': wrongSave((save) => async (captured) => {
    await save(captured)
    return undefined
  }),
  'an answer that is broken off is kept': wrongSave(
    (save) => (captured) =>
      save(captured.kind === 'abandoned' ? whole({ status: 200, headers: [], body: Buffer.from('one') }) : captured),
  ),
  'a client that leaves takes its answer along': wrongExchange((x) => ({
    capture(o, save) {
      let isOver = false
      const once: Save = async (captured) => {
        if (isOver) return undefined
        isOver = true
        return save(captured)
      }
      x.capture(o, once)
      x.onEnd(({ aborted }) => {
        if (aborted) void once({ kind: 'abandoned' })
      })
    },
  })),

  // Replay.
  'Set-Cookie is replayed': wrongReplay(({ headers }) => ({ headers: [...headers, ['Set-Cookie', 'a=1; Path=/']] })),
  'Set-Cookie is stored': wrongStore(() => [['Set-Cookie', 'a=1; Path=/']]),
  'Content-Length is stored': wrongStore(({ body }) => [['Content-Length', `${body.length}`]]),
  'Date is stored': wrongStore(() => [['Date', 'Thu, 01 Jan 1970 00:00:00 GMT']]),
  'a replay does not say so': wrongReplay(({ headers }) => ({
    headers: headers.filter(([name]) => name !== 'Idempotent-Replayed'),
  })),
  'repeated headers are joined in a replay': wrongReplay(({ headers }) => ({
    headers: [...new Headers(headers as [])],
  })),
  'joined waiter gets the leader’s ids': wrongReplay(({ headers }) => ({
    headers: [...headers, ['X-Correlation-ID', 'leader-0001']],
  })),
  'a replay is 200': wrongReplay(() => ({ status: 200 })),

  // Reads.
  'cached answer without the principal': wrongCached({ per: 'scope' }),
  'cached answer unscoped': wrongCached({ scope: 'public' }),
  'cached answer without its query': wrongCached({ query: ['none'] }),
  'cached answer varies by nothing': wrongCached({ vary: ['X-None'] }),
  'hits are not told what they are': wrongHit(({ headers }) => ({
    headers: headers.filter(([name]) => name !== 'Cache-Status'),
  })),
  'a 304 is sent as 200': wrongHit(() => ({ status: 200 })),
  'what must be held all leaves': wrongExchange((x) => ({
    capture: (o, save) => x.capture({ ...o, hold: 'last' }, save),
  })),
  'HEAD is shown as GET': wrongExchange((x) => ({ method: x.method === 'HEAD' ? 'GET' : x.method })),
  'the loader is bound to the first client': wrongExchange((x) => ({
    capture(o, save) {
      x.capture(o, (captured) => save(x.signal.aborted ? { kind: 'abandoned' } : captured))
    },
  })),
  'nothing is cached': wrongPolicy(({ cached }) => (cached === undefined ? {} : { cached: undefined as never })),
  'nothing is invalidated': wrongPolicy(({ invalidates }) =>
    invalidates === undefined ? {} : { invalidates: undefined as never },
  ),
  'every answer to a write is a success': wrongSave(
    (save) => (captured) => save(captured.kind === 'whole' ? whole({ ...captured.response, status: 200 }) : captured),
  ),
  'invalidate not awaited': wrongSave((save, x) => (captured) => {
    if (x.method === 'GET') return save(captured)
    void save(captured)
    return Promise.resolve(undefined)
  }),

  // Limits.
  'rate headers on inexact numbers': wrongRoute((route) => ({
    async late(x) {
      if (route.policy.rateLimit !== undefined) x.setHeader('X-RateLimit-Remaining', '0')
      return route.late(x)
    },
  })),
  'rate headers are stored': wrongStore(() => [['X-RateLimit-Limit', '100']]),
  'one limit for all users': wrongRate(({ by }) => ({ by: typeof by === 'string' ? by : () => 'all' })),
  'one limit for all tenants': wrongRate(() => ({ scope: 'public' })),
  'limits by address come behind authentication': wrongRate(({ by }) => ({
    by: by === 'address' ? (x) => x.remoteAddress : (by ?? 'principal'),
  })),
  'requests are free': wrongRate(() => ({ cost: 0 })),

  // The audit log.
  'nobody is told of': wrongPolicy(({ audited }) => (audited === undefined ? {} : { audited: undefined as never })),
  'who is refused is not told of': wrongRoute(({ policy }) =>
    policy.audited === undefined ? {} : { early: async () => undefined },
  ),
  'the end of an answer is not told': wrongExchange((x) => ({
    onEnd(f) {
      if (x.header('authorization') !== 'Bearer nobody') x.onEnd(f)
    },
  })),
  'entries are not required': wrongAudited({ required: false }),
  'entries of all tenants are one': wrongAudited({ scope: 'public' }),
  'entries without what is acted upon': wrongAudited({ target: () => undefined }),

  // Keys.
  'key unscoped': wrongRule(({ idempotent }) => ({ ...idempotent, scope: 'public' })),
  'key without the principal': wrongRule(({ idempotent }) => ({ ...idempotent, share: true })),
  'one key for all paths': wrongRule(({ idempotent }) => ({ ...idempotent, operation: 'any' })),
  'two key lines are joined': wrongExchange((x) => ({
    headerLines: (name) => (x.headerLines(name).length > 0 ? [x.headerLines(name).join('')] : []),
  })),
  'of two key lines the first counts': wrongExchange((x) => ({
    headerLines: (name) => (name === 'idempotency-key' ? x.headerLines(name).slice(0, 1) : x.headerLines(name)),
  })),
  '5xx is stored': wrongRule(({ idempotent, transactional }) =>
    transactional === true ? idempotent : { ...idempotent, preset: 'stripeV1' },
  ),
  'the body is what a parser made of it': wrongExchange((x) => ({
    rawBody: async () => reformatted(await x.rawBody()),
  })),
  'the key is claimed before authentication': wrongRoute((route) => ({
    early: async (x) => (await route.early(x)) ?? (await route.late(x)),
    late: async () => undefined,
  })),
  'rules by address come behind authentication': wrongRoute((route) => ({
    early: async () => undefined,
    late: async (x) => (await route.early(x)) ?? (await route.late(x)),
  })),
  'early rules are not asked': wrongRoute(() => ({ early: async () => undefined })),
  'rules are not asked': wrongRoute(() => ({ late: async () => undefined })),

  // Who sends it.
  'nobody looks at signatures': wrongPolicy(({ signed }) =>
    signed === undefined ? {} : { signed: undefined as never },
  ),
  'webhooks are not verified': wrongReceive(({ verifier }) => ({
    verifier: {
      ...verifier,
      verify: ({ body, headers }) =>
        trusting(body as Uint8Array, headers as unknown as { get(name: string): string | null }),
    },
  })),
  'signed requests may be sent again': wrongPolicy(({ signed }) =>
    signed === undefined ? {} : { signed: { verifier: forgiving(signed.verifier) } },
  ),
  'a webhook is another one each time': wrongReceive(({ verifier }) => ({
    verifier: {
      ...verifier,
      verify: (request) => Object.create(verifier.verify(request), { dedupeKey: { value: randomUUID() } }) as Verified,
    },
  })),
  'ids of all sources are one': wrongReceive(() => ({ source: 'any' })),
  'webhooks of all tenants are one': wrongReceive(() => ({ scope: 'public' })),
  'the query is shown decoded': wrongExchange((x) => ({ query: decodeURIComponent(x.query.replaceAll('+', ' ')) })),
  'the query is shown as it is printed': wrongExchange((x) => ({ query: String(x.searchParams) })),

  // Context.
  'context lost after body parsing': wrongPlan((route) => ({ enter: () => loseContext(route.enter) })),
  'handler outside route.context': wrongRoute(() => ({ context: () => ({}) })),
  'a request begins twice': wrongHttp((http) => ({
    begin(x) {
      http.begin(x)
      return http.begin(x)
    },
  })),
  'no context at all': wrongHttp((http) => ({
    begin(x) {
      http.begin(x)
      return {}
    },
  })),

  // What is shown of a request.
  'a hidden header is shown': wrongExchange(() => ({ hideHeader: () => {} })),
  'the route is the raw path': wrongExchange((x) => ({
    get route() {
      return x.path
    },
  })),
  'the path is decoded': wrongExchange((x) => ({ path: decodeURIComponent(x.path) })),
  'forwarded header believed from anyone': wrongExchange((x) => ({
    get remoteAddress() {
      return x.header('x-forwarded-for') ?? x.remoteAddress
    },
  })),
  'an address is forgotten with its socket': wrongExchange((x) => ({
    get remoteAddress() {
      return x.signal.aborted ? '' : x.remoteAddress
    },
  })),
  'the end is told twice': wrongExchange((x) => ({
    onEnd(f) {
      x.onEnd(f)
      x.onEnd(f)
    },
  })),
  'an aborted answer looks ended': wrongExchange((x) => ({
    onEnd: (f) => x.onEnd((end) => f({ ...end, aborted: false })),
  })),
  'nobody hears that the client left': wrongExchange(() => ({ signal: new AbortController().signal })),
  'the head is not shown': wrongExchange(() => ({ onHead: () => {} })),

  // Errors.
  'problem with stack': wrongHttp((http) => ({
    problem(error, x) {
      const response = http.problem(error, x)
      const members = JSON.parse(Buffer.from(response.body).toString()) as object
      return {
        ...response,
        body: Buffer.from(JSON.stringify({ ...members, stack: (error as Error | undefined)?.stack })),
      }
    },
  })),
  'problem without its request': wrongHttp((http) => ({ problem: (error) => http.problem(error) })),
  'an error is asked for twice': wrongHttp((http) => ({
    problem(error, x) {
      http.problem(error, x)
      return http.problem(error, x)
    },
  })),
  'what no route matched is an error': wrongHttp((http) => ({
    problem: (error, x) => http.problem(error ?? new Error('not found'), x),
  })),
}

/** Faults of what not every subject has. */
const transactionFaults: Readonly<Record<string, Fault>> = {
  'answered before its commit': wrongRoute(({ transact }) =>
    transact === undefined
      ? {}
      : {
          transact: (x, work) =>
            new Promise((resolve, reject) => {
              const early: typeof work = async (tx, op) => {
                const { response } = asReply(await work(tx, op))
                resolve(response)
                throw new Error('crash')
              }
              transact(x, early).then(resolve, reject)
            }),
        },
  ),
  'effects are dropped': wrongRoute(({ transact }) =>
    transact === undefined
      ? {}
      : {
          transact: (x, work) =>
            transact(x, async (tx, op) => {
              const { status, headers, body } = asReply(await work(tx, op)).response
              return reply(status, body.length === 0 ? undefined : body, [], headers)
            }),
        },
  ),
}

const apiFaults: Readonly<Record<string, Fault>> = {
  'status lost for a web Response': wrongAnswer(({ body, headers }) => new Response(body, { headers })),
  'headers lost for a web Response': wrongAnswer(({ body, status }) => new Response(body, { status })),
  'cookies of an API are joined': wrongAnswer(
    ({ body, status, headers }) => new Response(body, { status, headers: Object.fromEntries(headers) }),
  ),
  'answers of an API are buffered': wrongAnswer(async (response) =>
    response.status === 204
      ? response
      : new Response(await response.arrayBuffer(), { status: response.status, headers: response.headers }),
  ),
  'a stream that fails ends as if it were whole': wrongAnswer(({ body, status, headers }) => {
    return new Response(body === null ? null : (ReadableStream.from(swallowing(body as never)) as never), {
      status,
      headers,
    })
  }),
  'an API does not hear that its client left': wrongApi((api) => (request, info) => {
    const { signal } = new AbortController()
    return api(new Proxy(request, { get: (target, name) => (name === 'signal' ? signal : bound(target, name)) }), info)
  }),
  'an API sees its mount point': wrongApi((api) => (request, info) => {
    const url = new URL(request.url)
    const shown = `${url.origin}/api${url.pathname}${url.search}`
    return api(new Proxy(request, { get: (target, name) => (name === 'url' ? shown : bound(target, name)) }), info)
  }),
  'an API runs outside its request': wrongApi((api) => (request, info) => context.resume({}, () => api(request, info))),
  'an API ends with the deadline of its request': wrongApi((api) => (request, info) => {
    const leftMs = context.remaining()
    const late = sleep(Math.min(leftMs, LONG_MS)).then(() => new Response(null, { status: 504 }))
    return Promise.race([api(request, info), late])
  }),
}

const shutdownFaults: Readonly<Record<string, Fault>> = {
  'draining waits for nobody': (good) => ({
    async start(plan, http) {
      const served = await good.start(plan, http)
      return { ...served, drain: async () => void served.drain?.(new AbortController().signal) }
    },
  }),
  'draining does nothing': (good) => ({
    start: async (plan, http) => ({ ...(await good.start(plan, http)), drain: async () => {} }),
  }),
}

/**
 * Your adapter with one fault each, to score {@link httpSuite} by. It runs on node:http. Faults of what the subject does
 * not have are left out.
 */
export function brokenAdapters(subject: Subject<HttpSubject>): Record<string, Subject<HttpSubject>> {
  const { has = [] } = subject
  const applicable = {
    ...faults,
    ...(has.includes('database') ? transactionFaults : {}),
    ...(has.includes('shutdown') ? shutdownFaults : {}),
    ...apiFaults,
  }
  return Object.fromEntries(Object.entries(applicable).map(([name, fault]) => [name, broken(subject, name, fault)]))
}

function broken({ make, has }: Subject<HttpSubject>, name: string, fault: Fault): Subject<HttpSubject> {
  return {
    ...(has === undefined ? {} : { has }),
    caughtBy: CAUGHT_BY[name]!,
    async make() {
      const stopNoting = noteAnswers()
      const good = await make()
      return {
        ...good,
        ...fault(good),
        async dispose() {
          stopNoting()
          await good.dispose()
        },
      }
    },
  }
}

/** What a sender says, believed. */
function trusting(body: Uint8Array, headers: { get(name: string): string | null }): Verified {
  const id = headers.get('webhook-id') ?? randomUUID()
  return {
    id,
    timestamp: null,
    type: null,
    body,
    secret: 0,
    dedupeKey: id,
    json: () => JSON.parse(String(body)) as unknown,
  }
}

/** It remembers nonces, and lets them pass. */
function forgiving(verifier: RequestVerifier): RequestVerifier {
  let last: VerifiedRequest | undefined
  return {
    async verify(request) {
      try {
        return (last = await verifier.verify(request))
      } catch (error) {
        if (last !== undefined && (error as { code?: unknown }).code === 'REPLAYED') return last
        throw error
      }
    },
  }
}

function whole(response: StoredResponse): Captured {
  return { kind: 'whole', response, before: [] }
}

function reformatted(bytes: Uint8Array): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(JSON.parse(Buffer.from(bytes).toString())))
  } catch {
    return bytes
  }
}

/** As a body parser that calls back from another request's socket. */
function loseContext(enter: () => Promise<void>): Promise<void> {
  const storage = (globalThis as Record<symbol, unknown>)[Symbol.for('keelson.context')] as {
    enterWith(values: object | undefined): void
  }
  storage.enterWith(undefined)
  return enter()
}

async function* swallowing(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch {
    // The client takes what has come for all of it.
  }
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target)
  return typeof value === 'function' ? (value.bind(target) as unknown) : value
}
