import { createPipeline, type Call, type PipelineOptions } from '@keelson/resilience'
import {
  bulkhead,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  SamplingBreaker,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel'
import CircuitBreaker from 'opossum'
import pRetry from 'p-retry'

/** A call of the work that was given when it was made. */
export type CallOnce = () => Promise<unknown>

export const KEELSON = 'keelson run'
export const COCKATIEL = 'cockatiel 4.0.0'
export const OPOSSUM = 'opossum 10.0.0 + p-retry 9.0.0'

export const FULL: PipelineOptions = {
  name: 'bench',
  deadline: '3s',
  attempt: '800ms',
  retry: { attempts: 3 },
  breaker: { slow: { over: '500ms', rate: 0.8 } },
  limit: { adaptive: true, queue: 100 },
}

/** All policies of the design's example around a work; `close` lets the process end. */
export function keelson(work: (call: Call) => unknown, options: PipelineOptions = FULL) {
  const pipeline = createPipeline(options)
  return { pipeline, call: (): Promise<unknown> => pipeline.run(work), close: () => pipeline.close() }
}

/** The same policies, as far as it has them: no slow rate, and a limit that does not move. */
export function cockatiel(work: (signal: AbortSignal) => unknown): CallOnce {
  const policy = wrap(
    timeout(3_000, TimeoutStrategy.Aggressive),
    retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 20_000 }) }),
    circuitBreaker(handleAll, {
      halfOpenAfter: 5_000,
      breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 2 }),
    }),
    bulkhead(500, 100),
    timeout(800, TimeoutStrategy.Aggressive),
  )
  return () => policy.execute(({ signal }) => work(signal))
}

/** The same: a breaker with a timeout and a capacity, and retries around it; no deadline for all of them. */
export function opossum(work: () => unknown) {
  const breaker = new CircuitBreaker(async () => work(), {
    timeout: 800,
    capacity: 500,
    errorThresholdPercentage: 50,
    volumeThreshold: 20,
    resetTimeout: 5_000,
    rollingCountTimeout: 10_000,
    rollingCountBuckets: 10,
  })
  return {
    breaker,
    call: (): Promise<unknown> =>
      pRetry(() => breaker.fire(), { retries: 2, minTimeout: 50, maxTimeout: 20_000, randomize: true }),
    close: async (): Promise<void> => breaker.shutdown(),
  }
}
