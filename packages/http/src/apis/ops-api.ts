import {
  checkOptions,
  kernelMetrics,
  opt,
  systemClock,
  type Clock,
  type Component,
  type Duration,
  type MetricFamily,
  type StoredResponse,
} from '@keelson/kernel'
import { contentType, type MetricSource } from '@keelson/kernel/prometheus'
import { optionFailure } from '../error.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import { problem } from '../problem.ts'
import { json, textAnswer } from './answer.ts'
import { asked } from './asked.ts'
import { AUTHORIZE, type Authorize } from './authorize.ts'
import { breakerReader, type PipelineLike } from './breakers.ts'
import { explain, type Explained } from './explain.ts'
import { HEALTH_METHODS, type HealthLike, type HealthReport } from './health-api.ts'
import { healthFamilies, readHealth } from './health-metrics.ts'
import { metricPage, readMetrics, unreadableFamily, type MetricReading } from './metric-page.ts'
import { deadDeliveries, type OpsWebhooks } from './ops/deliveries.ts'
import { createDesk } from './ops/desk.ts'
import { auditSearch, type OpsAudit } from './ops/entries.ts'
import { explainBox } from './ops/explain-box.ts'
import { hrefOf } from './ops/elements.ts'
import type { Ask } from './ops/section.ts'
import { stuckKeys, type OpsIdempotency } from './ops/stuck-keys.ts'
import { pagePolicy, statusPage } from './page.ts'
import { apiOf, type ApiCall } from './router.ts'
import { statusReader, worstOf } from './status.ts'
import { readSystem, systemFamilies } from './system-metrics.ts'

/** What the API needs of `createHttp()`. */
export interface OpsHttp extends Partial<Pick<Component, 'inspect' | 'metrics'>> {
  problem(error: unknown): StoredResponse
}

/** What the API needs of a component. */
export type OpsComponent = Pick<Component, 'inspect' | 'metrics' | 'trace'>

/** What `opsApi` takes. */
export interface OpsApiOptions {
  readonly http: OpsHttp
  /** All that the process has: idempotency, caches, audit, webhooks .. */
  readonly components: readonly OpsComponent[]
  readonly pipelines?: readonly PipelineLike[]
  readonly health?: HealthLike
  /** For the page: dead deliveries of a tenant, and buttons that send them again. */
  readonly webhooks?: OpsWebhooks
  /** For the page: keys of which nobody knows how their run ended, and buttons that let them run again. */
  readonly idempotency?: OpsIdempotency
  /** For the page: a search of the log, over all tenants. */
  readonly audit?: OpsAudit
  /** Required: what stands here is not for everybody. 'public' is spelled out. */
  readonly authorize: Authorize
  /** How long one component may take to answer; default 1 s. The others are answered without it. */
  readonly timeout?: Duration
  readonly clock?: Clock
}

const HTML = 'text/html; charset=utf-8'
/** What the page names beside itself. */
const PATHS = [
  '/status',
  '/metrics',
  '/metrics/json',
  '/metrics/system',
  '/metrics/health',
  '/circuit-breaker/status',
  '/explain/:correlationId',
]

const COMPONENTS = 'an array of components, each with inspect() and metrics()'
const PIPELINES = 'an array of pipelines, each with a name and state()'

const SPEC = {
  http: opt.required(opt.port<OpsHttp>(['problem'])),
  components: opt.required(opt.custom<readonly OpsComponent[]>(COMPONENTS, isArrayOf(['inspect', 'metrics']))),
  pipelines: opt.custom<readonly PipelineLike[]>(PIPELINES, isArrayOf(['state']), []),
  health: opt.port<HealthLike>(HEALTH_METHODS),
  webhooks: opt.custom<OpsWebhooks>('what createWebhooks() answers', isWebhooks),
  idempotency: opt.port<OpsIdempotency>(['stuck', 'resolve']),
  audit: opt.port<OpsAudit>(['query']),
  authorize: AUTHORIZE,
  timeout: opt.duration('1s', { min: 1, max: '1m' }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
}

/**
 * The operators' view of a process: `/` a page for people, with what they may ask and do; `/status`, `/metrics`
 * (Prometheus' text format), `/metrics/json`, `/metrics/system`, `/metrics/health`, `/circuit-breaker/status`,
 * `/explain/:correlationId`. A component that is broken or hangs is a row that says so, and takes nothing of the others away.
 * @throws HttpError OPTION_INVALID
 */
export function opsApi(options: OpsApiOptions): FetchHandler {
  const { http, components, pipelines, health, authorize, timeout, clock, ...parts } = checkOptions(
    'opsApi',
    options,
    SPEC,
    optionFailure,
  )
  const ask: Ask = (question) => asked(question, timeout, clock)
  const explained = (id: string): Promise<Explained> => explain(id, components, timeout, clock)
  const { webhooks, idempotency, audit } = parts
  const sections = [
    ...(webhooks === undefined ? [] : [deadDeliveries(webhooks, ask)]),
    ...(idempotency === undefined ? [] : [stuckKeys(idempotency, ask)]),
    ...(audit === undefined ? [] : [auditSearch(audit, ask)]),
    explainBox(explained),
  ]
  const desk = createDesk(sections, ask)
  const { act } = desk
  const inspected = [
    ...(isInspected(http) ? [{ fallbackName: 'http', from: http }] : []),
    ...components.map((from, i) => ({ fallbackName: `components[${i}]`, from })).filter(({ from }) => from !== http),
  ]
  const readStatuses = statusReader(inspected, timeout, clock)
  const readBreakers = breakerReader(pipelines, timeout, clock)
  const counted = [kernelMetrics, http, ...components, ...pipelines].filter(isCounted)

  /** Everything that is counted, as it is now. */
  async function readAll(): Promise<MetricReading> {
    const later = [readSystem(clock).then(systemFamilies)]
    if (health !== undefined) later.push(readHealth(health).then(healthFamilies))
    return readMetrics([...counted, ...(await Promise.all(later.map(sourceOf)))])
  }

  /** Undefined without a health, and from one that rejects. */
  async function readiness(): Promise<HealthReport | undefined> {
    try {
      return await health?.readiness()
    } catch {
      return undefined
    }
  }

  async function page(query: URLSearchParams, notice = desk.noticeOf(query), status = 200): Promise<Response> {
    const [components, breakers, ready, system, sections] = await Promise.all([
      readStatuses(),
      readBreakers(),
      readiness(),
      readSystem(clock),
      desk.show(query),
    ])
    const state = worstOf(components.map(({ state }) => state))
    const content = { state, components, breakers, ready, system, paths: PATHS, sections, notice }
    const answer = textAnswer(statusPage(content), HTML, status)
    answer.headers.set('Content-Security-Policy', pagePolicy)
    // Forms tell their origin to this page, and nothing is told to others.
    answer.headers.set('Referrer-Policy', 'same-origin')
    return answer
  }

  /** Does what a button says, and shows where it is seen; to load that page again does nothing again. */
  async function done(call: ApiCall, act: NonNullable<typeof desk.act>): Promise<Response> {
    const acted = await act(call)
    if (acted.kind === 'failed') return page(call.searchParams, acted.notice, acted.status)
    return new Response(null, { status: 303, headers: { Location: hrefOf(acted.query) } })
  }

  async function status(): Promise<Response> {
    const [components, ready] = await Promise.all([readStatuses(), readiness()])
    return json({ state: worstOf(components.map(({ state }) => state)), health: ready, components })
  }

  async function metricsJson(): Promise<Response> {
    const { families, unreadable } = await readAll()
    return json({ families: [...families.flat(), unreadableFamily(unreadable)] })
  }

  async function healthMetrics(): Promise<Response> {
    if (health === undefined) throw problem(404, 'not-found', { detail: 'opsApi was given no health' })
    return json({ families: healthFamilies(await readHealth(health)) })
  }

  return apiOf(
    {
      '/': {
        GET: ({ searchParams }) => page(searchParams),
        ...(act === undefined ? {} : { POST: (call: ApiCall) => done(call, act) }),
      },
      '/status': { GET: status },
      '/metrics': { GET: async () => textAnswer(metricPage(await readAll()), contentType) },
      '/metrics/json': { GET: metricsJson },
      '/metrics/system': { GET: async () => json({ families: systemFamilies(await readSystem(clock)) }) },
      '/metrics/health': { GET: healthMetrics },
      '/circuit-breaker/status': { GET: async () => json({ breakers: await readBreakers() }) },
      '/explain/:correlationId': {
        GET: async ({ params }) => json(await explained(params.correlationId)),
      },
    },
    { authorize, problem: (error) => http.problem(error) },
  )
}

function isWebhooks(given: unknown): boolean {
  const { deliveries, endpoints } = (given ?? {}) as Partial<Record<'deliveries' | 'endpoints', unknown>>
  return typeof deliveries === 'object' && typeof endpoints === 'object'
}

function isInspected(http: OpsHttp): http is OpsHttp & Pick<Component, 'inspect'> {
  return typeof http.inspect === 'function'
}

function isCounted(source: Partial<MetricSource>): source is MetricSource {
  return typeof source.metrics === 'function'
}

/** A source that had to be waited for; one that failed throws when it is read, as others do. */
function sourceOf(families: Promise<MetricFamily[]>): Promise<MetricSource> {
  return families.then(
    (read) => ({ metrics: () => read }),
    (error: unknown) => ({
      metrics() {
        throw error
      },
    }),
  )
}

function isArrayOf(methods: readonly string[]): (given: unknown) => boolean {
  const fits = (one: unknown): boolean =>
    methods.every((method) => typeof (one as Record<string, unknown> | null | undefined)?.[method] === 'function')
  return (given) => Array.isArray(given) && given.every(fits)
}
