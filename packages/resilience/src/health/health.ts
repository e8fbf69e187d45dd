import { checkOptions, opt, systemClock, type Clock, type Duration } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import { checkName } from '../part-name.ts'
import { askedCheck, type CheckResult } from './asked-check.ts'
import type { Check } from './checks.ts'
import { loopLag } from './lag.ts'
import { outOfTraffic, reportOf, type Phase, type Report } from './report.ts'

/** What `createHealth` takes; durations as ms or '5s'. */
export interface HealthOptions {
  /** How long the result of a check holds; default 1 s. */
  readonly cache?: Duration
  /** How long a check may take; default 800 ms, for probes give up after 1 s. */
  readonly timeout?: Duration
  /** The longest turn of the event loop of a live process; default 5 s. */
  readonly maxLag?: Duration
  readonly clock?: Clock
}

/** What `watch` needs of a pipeline. */
export interface BreakerLike {
  readonly name: string
  state(key?: string): 'closed' | 'open' | 'half-open' | 'ramp'
  inspect?(): Promise<{ readonly breaker?: string }>
}

/** Whether this process is alive, and whether traffic may come. No report ever rejects. */
export interface Health {
  /**
   * Adds a check to readiness; the answer takes it away again. A check fails when it throws, rejects, answers `false`
   * or takes longer than `timeout` (default that of the options): then its signal aborts. `critical` (false): its
   * failure takes this node out of traffic, else it is 'degraded'.
   * @throws ResilienceError OPTION_INVALID; also for a name that is taken.
   */
  add(name: string, check: Check & { readonly critical?: boolean; readonly timeout?: Duration }): () => void
  /**
   * A check with the name of the pipeline, which fails while its breaker is open: of `key`, or without one of any of
   * its keys. Critical only where the other nodes
   * do not share that upstream: else all of them leave at once.
   */
  watch(pipeline: BreakerLike, o?: { readonly critical?: boolean; readonly key?: string }): () => void
  /** All is set up: traffic may come. */
  started(): void
  /** No more traffic, for good; the first reason stays. */
  drain(reason: string): void
  /** Down when a turn of the event loop takes over `maxLag`; no dependency can restart a process. */
  liveness(): Promise<Report>
  /** Down while not started, while draining, and while a critical check fails. */
  readiness(): Promise<Report>
  /** Down until `started()`. */
  startup(): Promise<Report>
}

const LIMIT = { min: 1, max: '1h' } as const

const SPEC = {
  cache: opt.duration('1s', { max: LIMIT.max }),
  timeout: opt.duration('800ms', LIMIT),
  maxLag: opt.duration('5s', LIMIT),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
}

const CHECK = {
  check: opt.required(opt.fn<Check['check']>()),
  critical: opt.boolean(false),
  timeout: opt.duration(undefined, LIMIT),
}

const WATCH = { critical: opt.boolean(false), key: opt.string() }
const WATCHED = { pipeline: opt.required(opt.port<BreakerLike>(['state'])) }

interface Added {
  readonly critical: boolean
  ask(): Promise<CheckResult>
}

/**
 * Health of this process. It is not ready until `started()`.
 * @throws ResilienceError OPTION_INVALID
 */
export function createHealth(options: HealthOptions = {}): Health {
  const o = checkOptions('createHealth', options, SPEC, optionFailure)
  const added = new Map<string, Added>()
  let phase: Phase = { kind: 'starting' }

  const add: Health['add'] = (name, given) => {
    checkName('health.add', name, [...added.keys()])
    const { check, critical, timeout = o.timeout } = checkOptions('health.add', given, CHECK, optionFailure)
    const one = { critical, ask: askedCheck(check, { timeoutMs: timeout, cacheMs: o.cache, clock: o.clock }) }
    added.set(name, one)
    return () => {
      if (added.get(name) === one) added.delete(name)
    }
  }

  async function asked([name, { critical, ask }]: [string, Added]): Promise<[string, Report['checks'][string]]> {
    const { ok, ms, error } = await ask()
    return [name, { ok, critical, ms, ...(error === undefined ? {} : { error }) }]
  }

  return {
    add,
    watch(pipeline, given) {
      checkOptions('health.watch', { pipeline }, WATCHED, optionFailure)
      const { critical, key } = checkOptions('health.watch', given, WATCH, optionFailure)
      const check = async (): Promise<boolean> => {
        // A pipeline that is called with keys has a breaker for each: the worst counts.
        const ofAny = key === undefined ? (await pipeline.inspect?.())?.breaker : undefined
        if ((ofAny ?? pipeline.state(key)) === 'open') throw new Error('its breaker is open')
        return true
      }
      return add(pipeline.name, { check, critical })
    },
    started() {
      if (phase.kind === 'starting') phase = { kind: 'started' }
    },
    drain(reason) {
      if (phase.kind !== 'draining') phase = { kind: 'draining', reason }
    },
    async liveness() {
      const ms = await loopLag(o.clock)
      const ok = ms <= o.maxLag
      const error = ok ? {} : { error: `a turn of the event loop takes over ${o.maxLag} ms` }
      return reportOf({ 'event-loop': { ok, critical: true, ms, ...error } })
    },
    async readiness() {
      const out = outOfTraffic(phase)
      if (out !== undefined) return out
      const checks = Object.fromEntries(await Promise.all([...added].map(asked)))
      // While the checks ran, a shutdown may have begun.
      return outOfTraffic(phase) ?? reportOf(checks)
    },
    // A process that drains has started once.
    startup: async () => (phase.kind === 'starting' ? outOfTraffic(phase)! : reportOf({})),
  }
}
