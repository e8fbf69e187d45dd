import type { Clock, Component, Status } from '@keelson/kernel'
import { statusReader } from './status.ts'

/** What the API needs of a pipeline of `@keelson/resilience`. */
export interface PipelineLike extends Partial<Pick<Component, 'inspect' | 'metrics'>> {
  readonly name: string
  state(key?: string): 'closed' | 'open' | 'half-open' | 'ramp'
}

/** One breaker; 'unknown' for a pipeline that cannot say. */
export interface BreakerRow {
  readonly name: string
  readonly state: ReturnType<PipelineLike['state']> | 'unknown'
  /** What its `inspect()` says. */
  readonly status?: Status
}

/** Reads the breakers as they are, each with the status of its pipeline. */
export function breakerReader(
  pipelines: readonly PipelineLike[],
  timeoutMs: number,
  clock: Clock,
): () => Promise<BreakerRow[]> {
  const readers = pipelines.map((from) =>
    isInspected(from) ? statusReader([{ fallbackName: from.name, from }], timeoutMs, clock) : undefined,
  )
  return () =>
    Promise.all(
      pipelines.map(async (pipeline, i) => {
        const [status] = (await readers[i]?.()) ?? []
        return { name: pipeline.name, state: stateOf(pipeline), ...(status === undefined ? {} : { status }) }
      }),
    )
}

function stateOf(pipeline: PipelineLike): BreakerRow['state'] {
  try {
    return pipeline.state()
  } catch {
    return 'unknown'
  }
}

function isInspected(pipeline: PipelineLike): pipeline is PipelineLike & Pick<Component, 'inspect'> {
  return typeof pipeline.inspect === 'function'
}
