import type { Figures } from './case.ts'
import { quantile } from './statistics.ts'

/** `callers` that each start the next call when the last one has ended, for `forMs`. A call that throws ends the run. */
export async function closedLoop(callers: number, forMs: number, call: () => Promise<unknown>): Promise<Figures> {
  const latencies: number[] = []
  const beginsMs = performance.now()
  const endsMs = beginsMs + forMs
  const one = async (): Promise<void> => {
    for (let startMs = performance.now(); startMs < endsMs;) {
      await call()
      const nowMs = performance.now()
      latencies.push(nowMs - startMs)
      startMs = nowMs
    }
  }
  await Promise.all(Array.from({ length: callers }, one))
  return figuresOfLatencies(latencies, performance.now() - beginsMs)
}

/** Throughput and latency of calls that took `latencies` ms, all within `tookMs`. */
export function figuresOfLatencies(latencies: readonly number[], tookMs: number): Figures {
  return {
    'per s': (latencies.length / tookMs) * 1000,
    'p50 ms': quantile(latencies, 0.5),
    'p99 ms': quantile(latencies, 0.99),
  }
}
