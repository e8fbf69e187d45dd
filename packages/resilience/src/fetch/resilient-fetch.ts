import { checkOptions, opt, systemClock, uuidv7, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure, ResilienceError } from '../error.ts'
import { pipelineWith, type Pipeline } from '../pipeline/pipeline.ts'
import type { PipelineOptions } from '../pipeline/settings.ts'
import { HeldBody } from './held-body.ts'
import { isAmong, propagated, redirectGuard, type Hosts } from './propagation.ts'
import { readSending, type Sending } from './sending.ts'
import { verdictsAt } from './verdicts.ts'
import { withBody } from './with-body.ts'

/** What `resilientFetch` takes: the policies of a pipeline, judged by `verdicts`. */
export interface ResilientFetchOptions extends Omit<PipelineOptions<Response>, 'classify'> {
  /** What sends; default the global `fetch` of each call. */
  readonly fetch?: typeof fetch
  /** Whose breaker, limit and budget count; default the host of the URL. */
  readonly key?: (url: URL) => string
  /**
   * Writes `x-request-timeout-ms`, `x-retry-attempt`, `traceparent` and `x-correlation-id` of the kernel's context: to
   * these hosts (as `URL.host`, with a port that is not the default one), or to all with `true`. Default: to none.
   */
  readonly propagate?: true | readonly string[]
  /** Gives each POST and PATCH without one an `Idempotency-Key`, the same for all its attempts; default false. */
  readonly idempotencyKey?: boolean
  /** A body that is read and silent for so long fails; one that is not read gives its place back. Default 30 s. */
  readonly bodyIdle?: Duration
}

/** A `fetch`, with the pipeline that its calls go through. */
export type ResilientFetch = typeof fetch & { readonly pipeline: Pipeline<Response> }

/** Checked by the pipeline. */
const POLICY = opt.custom<unknown>('an option of createPipeline', () => true)

const SPEC = {
  fetch: opt.fn<typeof fetch>(),
  key: opt.fn<(url: URL) => string>(),
  propagate: opt.custom<Hosts>("true or an array of hosts such as 'api.example.com' or 'localhost:3000'", isHosts),
  idempotencyKey: opt.boolean(false),
  bodyIdle: opt.duration('30s', { min: 1, max: '365d' }),
  ...({
    name: POLICY,
    deadline: POLICY,
    attempt: POLICY,
    retry: POLICY,
    rate: POLICY,
    throttle: POLICY,
    breaker: POLICY,
    limit: POLICY,
    hedge: POLICY,
    fallback: POLICY,
    keys: POLICY,
    chaos: POLICY,
    clock: POLICY,
    random: POLICY,
    logger: POLICY,
  } satisfies Record<keyof Omit<PipelineOptions, 'classify'>, typeof POLICY>),
}

/**
 * A `fetch` whose calls go through a pipeline. GET, HEAD, OPTIONS, PUT and DELETE are retried, others with an
 * `Idempotency-Key`, and none with a stream as its body. Times end at the headers, the place of a limit is held until the
 * body has ended.
 * @throws ResilienceError OPTION_INVALID
 */
export function resilientFetch(options: ResilientFetchOptions): ResilientFetch {
  const {
    fetch: send,
    key,
    propagate,
    idempotencyKey,
    bodyIdle,
    ...policies
  } = checkOptions('resilientFetch', options, SPEC, optionFailure)
  const clock = (policies.clock as Clock | undefined) ?? systemClock
  const bodies = new WeakMap<Response, HeldBody>()
  const pipeline = pipelineWith<Response>({ ...policies, classify: verdictsAt(clock) } as PipelineOptions<Response>, {
    discard: (value: unknown) => {
      if (value instanceof Response) bodies.get(value)?.discard()
    },
    keeps: (value: Response, release) => bodies.get(value)?.hold(release) ?? false,
  })
  const makeKey = idempotencyKey ? () => uuidv7(clock) : undefined
  const silence = (): Error =>
    new ResilienceError(
      'ATTEMPT_TIMEOUT',
      `resilientFetch "${pipeline.name}": the body was silent for ${bodyIdle} ms ("bodyIdle")`,
    )

  function held(response: Response, signal: AbortSignal | undefined): Response {
    if (!(response.body instanceof ReadableStream)) return response
    const body = new HeldBody(response.body, { clock, idleMs: bodyIdle, signal, silence })
    const answer = withBody(response, body.stream)
    bodies.set(answer, body)
    return answer
  }

  async function resilient(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const sending = await readSending(input, init, makeKey)
    const { url, signal, idempotent } = sending
    return pipeline.run(
      async (call) => {
        const attempt = attemptOf(sending, propagate, call.remaining)
        return held(await (send ?? fetch)(sending.input, { ...attempt, signal: call.signal }), signal)
      },
      // A URL such as data: has no host.
      { key: key === undefined ? url.host || undefined : key(url), signal, idempotent },
    )
  }

  return Object.assign(resilient, { pipeline })
}

/** What an attempt sends, without its signal. */
function attemptOf({ url, input, init, headers }: Sending, hosts: Hosts | undefined, remainingMs: number): RequestInit {
  if (hosts === undefined || !isAmong(hosts, url.host)) return { ...init, headers }
  const written = propagated(headers, remainingMs)
  const all = new Headers(headers)
  for (const [name, value] of written) all.set(name, value)
  const { dispatcher } = init as { dispatcher?: unknown }
  // A dispatcher that a Request brings along is not seen, and must not be replaced.
  const isGuarded = hosts !== true && (dispatcher !== undefined || !(input instanceof Request))
  const guard = isGuarded
    ? redirectGuard(
        hosts,
        written.map(([name]) => name),
        dispatcher,
      )
    : undefined
  return { ...init, headers: all, ...(guard === undefined ? {} : { dispatcher: guard }) } as RequestInit
}

function isHosts(given: unknown): boolean {
  return given === true || (Array.isArray(given) && given.every((host) => typeof host === 'string' && isHost(host)))
}

function isHost(host: string): boolean {
  return ['http', 'https'].some(
    (scheme) => URL.canParse(`${scheme}://${host}`) && new URL(`${scheme}://${host}`).host === host,
  )
}
