import { checkOptions, context, opt } from '@keelson/kernel'
import { describeError } from '../describe-error.ts'
import { optionFailure } from '../error.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import { problemResponse } from '../problem-response.ts'
import { json } from './answer.ts'
import { apiOf } from './router.ts'

/** One check of a report. */
export interface HealthCheck {
  readonly ok: boolean
  readonly critical: boolean
  readonly ms: number
  /** May name hosts: it leaves through the operators' API only. */
  readonly error?: string
}

/** What a probe is answered: the `Report` of `@keelson/resilience/health`. */
export interface HealthReport {
  readonly ok: boolean
  readonly status: 'ok' | 'degraded' | 'down'
  readonly reason?: string
  readonly checks: Readonly<Record<string, HealthCheck>>
}

/** What the APIs need of `createHealth()`. */
export interface HealthLike {
  liveness(): Promise<HealthReport>
  readiness(): Promise<HealthReport>
  startup(): Promise<HealthReport>
}

/** What `healthApi` takes. */
export interface HealthApiOptions {
  readonly health: HealthLike
}

/** An object that can be asked how the process is. */
export const HEALTH_METHODS = ['liveness', 'readiness', 'startup'] as const

const SPEC = { health: opt.required(opt.port<HealthLike>(HEALTH_METHODS)) }
const TYPE_BASE = 'urn:keelson:problem:'

/**
 * Probes: `/live` (`/liveness`), `/ready` (`/readiness`), `/startup`, and `/` for all of it. 200, also when degraded;
 * 503 when down. Open to everybody: errors of checks are left out, they may name hosts.
 * @throws HttpError OPTION_INVALID
 */
export function healthApi(options: HealthApiOptions): FetchHandler {
  const { health } = checkOptions('healthApi', options, SPEC, optionFailure)
  const live = { GET: async () => answerOf(await health.liveness()) }
  const ready = { GET: async () => answerOf(await health.readiness()) }
  const startup = { GET: async () => answerOf(await health.startup()) }

  async function all(): Promise<Response> {
    const [live, ready] = await Promise.all([health.liveness(), health.readiness()])
    return answerOf(live.ok ? { ...ready, checks: { ...live.checks, ...ready.checks } } : live)
  }

  return apiOf(
    {
      '/': { GET: all },
      '/live': live,
      '/liveness': live,
      '/ready': ready,
      '/readiness': ready,
      '/startup': startup,
    },
    {
      authorize: 'public',
      problem: (error) =>
        problemResponse(TYPE_BASE, describeError(error), { correlationId: context.get()?.correlationId }),
    },
  )
}

function answerOf({ ok, status, reason, checks }: HealthReport): Response {
  const shown = Object.entries(checks).map(([name, { ok, critical, ms }]) => [name, { ok, critical, ms }])
  return json({ ok, status, reason, checks: Object.fromEntries(shown) as unknown }, ok ? 200 : 503)
}
