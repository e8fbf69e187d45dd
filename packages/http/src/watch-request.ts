import { context, traced, type Clock } from '@keelson/kernel'
import type { Exchange } from './exchange.ts'
import type { RequestLog } from './request-log.ts'
import { methodLabel, type RequestMetrics } from './request-metrics.ts'
import type { RequestState } from './request-state.ts'
import { isSameTrace } from './traceparent.ts'

/** What listeners of `keelson:http:request` are told; `status`, `bytes`, `aborted` and `route` when it has ended. */
interface RequestMessage {
  readonly method: string
  readonly path: string
  readonly correlationId: string | undefined
  readonly traceparent: string | undefined
  /** What came in, when `traceparent` continues it. */
  readonly parent: string | undefined
}

/**
 * Logs, counts and times a request from its beginning to its end, tells whoever listens, and says how long it took.
 * Answers the traceparent of a tracer that made this request a span; undefined without one.
 */
export function watchRequest(
  x: Exchange,
  state: RequestState,
  { metrics, log, clock }: { metrics: RequestMetrics; log: RequestLog | undefined; clock: Clock },
): string | undefined {
  const { correlationId, traceparent } = state.context
  let message: RequestMessage | undefined
  const elapsedMs = (): number => clock.monotonic() - state.startedMs

  metrics.inFlight.add(1)
  log?.begun(x, state)
  x.onHead(() => x.setHeader('X-Response-Time', `${elapsedMs().toFixed(3)}ms`))
  x.onEnd((end) => {
    const ms = elapsedMs()
    const status = end.aborted ? 'aborted' : String(end.status)
    const labels = { method: methodLabel(x.method), route: x.route, status }
    metrics.inFlight.add(-1)
    metrics.requests.inc(labels)
    metrics.seconds.observe(ms / 1_000, labels)
    log?.ended(x, state, end, ms)
  })
  const outside = context.get()?.traceparent
  let inside = outside
  // Heard or not is known once the details were asked for.
  void traced(
    'http:request',
    () => {
      const [first] = x.headerLines('traceparent')
      const parent = first !== undefined && isSameTrace(first, traceparent!) ? first : undefined
      return (message = { method: x.method, path: x.path, correlationId, traceparent, parent })
    },
    async () => {
      if (message === undefined) return
      inside = context.get()?.traceparent
      await new Promise<void>((resolve) =>
        x.onEnd((end) => resolve(void Object.assign(message!, { route: x.route, ...end }))),
      )
    },
  )
  return inside === outside ? undefined : inside
}
