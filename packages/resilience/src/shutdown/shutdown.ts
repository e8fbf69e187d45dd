import { constants } from 'node:os'
import { checkOptions, opt, systemClock, type Clock, type Duration, type Logger } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import { checkName } from '../part-name.ts'
import { checkPart, type Part } from './part.ts'
import { tolerantSignal } from './tolerant-signal.ts'
import { within } from './within.ts'

/** What `createShutdown` takes; durations as ms or '5s'. */
export interface ShutdownOptions {
  /** Told first, so that its readiness fails before anything closes: a `createHealth()`. */
  readonly health?: { drain(reason: string): void }
  /** How long the process goes on as before, for load balancers to see that readiness; default 0. */
  readonly preStop?: Duration
  /** How long the parts may drain, all together; default 10 s. */
  readonly drain?: Duration
  /** How long everything may take, `preStop` included; default 30 s. Then the process ends as it is. */
  readonly hardLimit?: Duration
  /** What begins a shutdown once `start()` was called; default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[]
  /** Ends the process; default `process.exit`. */
  readonly exit?: (code: number) => void
  readonly clock?: Clock
  readonly logger?: Logger
}

/** How a shutdown went. */
export interface ShutdownResult {
  /** 1 when a part is stuck, or when it was cut short. */
  readonly code: 0 | 1
  /** The parts that threw, took too long or did not come to their end. */
  readonly stuck: string[]
  /** How long it took. */
  readonly ms: number
}

/** Ends a process in order. */
export interface Shutdown {
  /**
   * Adds a part, in the order of their making: what was added last closes first. The answer takes it out again. A part
   * that is added while parts are closed is closed too.
   * @throws ResilienceError OPTION_INVALID; also for a name that is taken.
   */
  add(name: string, part: Part): () => void
  /** From now on the signals count. The second one ends the process at once, with code 1. */
  start(): void
  /** Aborts when a shutdown begins: for loops that take new work. What a listener throws is logged. */
  readonly signal: AbortSignal
  /**
   * Readiness off, `preStop`, all `drain` at once, each `close` in turn, `exit`. Never rejects: a part that throws or
   * takes too long is named in `stuck`, and the rest still closes. Asked again, it is the same promise.
   */
  shutdown(reason: string): Promise<ShutdownResult>
}

const LIMIT = { min: 1, max: '1d' } as const
const NOT_FOR_US = ['SIGKILL', 'SIGSTOP']

const SPEC = {
  health: opt.port<NonNullable<ShutdownOptions['health']>>(['drain']),
  preStop: opt.duration(0, { max: LIMIT.max }),
  drain: opt.duration('10s', { max: LIMIT.max }),
  hardLimit: opt.duration('30s', LIMIT),
  signals: opt.custom<readonly NodeJS.Signals[]>(
    'an array of signals that a process can hear of',
    (given) => Array.isArray(given) && given.every(isSignal),
    ['SIGTERM', 'SIGINT'],
  ),
  exit: opt.fn<(code: number) => void>((code) => process.exit(code)),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}

/**
 * An orderly end for this process. Nothing happens before `start()` or `shutdown()`.
 * @throws ResilienceError OPTION_INVALID
 */
export function createShutdown(options: ShutdownOptions = {}): Shutdown {
  const o = checkOptions('createShutdown', options, SPEC, optionFailure)
  const { clock, logger } = o
  const parts = new Map<string, Part>()
  const stuck = new Set<string>()
  const begun = new AbortController()
  const cut = new AbortController()
  let ending: Promise<ShutdownResult> | undefined
  let started = false

  /** One step of one part. */
  async function attempt(name: string, step: 'drain' | 'close', limitMs: number): Promise<void> {
    const part = parts.get(name)
    try {
      const limit = { limitMs, cut: cut.signal, clock }
      // close() gets nothing: many a driver's would take it for a callback.
      await within((signal) => (step === 'drain' ? part?.drain?.(signal) : part?.close?.()), limit)
    } catch (err) {
      if (cut.signal.aborted) return
      stuck.add(name)
      logger.error({ err, part: name, step }, 'a part did not end as it should')
    }
  }

  async function inOrder(endsMs: number): Promise<void> {
    await clock.sleep(o.preStop, cut.signal)
    await Promise.all([...parts.keys()].map((name) => attempt(name, 'drain', o.drain)))
    for (let name = last(parts); name !== undefined && !cut.signal.aborted; name = last(parts)) {
      // A fair share: one that hangs leaves time for the others, and all of them together end before the hard limit.
      await attempt(name, 'close', (endsMs - clock.monotonic()) / (parts.size + 1))
      if (!cut.signal.aborted) parts.delete(name)
    }
  }

  async function end(reason: string): Promise<ShutdownResult> {
    const sinceMs = clock.monotonic()
    logger.info({ reason, parts: [...parts.keys()] }, 'shutting down')
    try {
      o.health?.drain(reason)
    } catch (err) {
      logger.error({ err }, 'readiness could not be taken off')
    }
    begun.abort(new DOMException(`shutting down: ${reason}`, 'AbortError'))

    const timer = clock.timer(() => cut.abort(new Error('the hard limit is over')), o.hardLimit, { ref: true })
    const wasCut = new Promise<void>((resolve) => cut.signal.addEventListener('abort', () => resolve()))
    await Promise.race([inOrder(sinceMs + o.hardLimit).catch(() => {}), wasCut])
    timer.cancel()
    // Cut short, what is still here has not closed.
    const result: ShutdownResult = {
      code: cut.signal.aborted || stuck.size > 0 ? 1 : 0,
      stuck: [...new Set([...stuck, ...parts.keys()])],
      ms: clock.monotonic() - sinceMs,
    }
    if (cut.signal.aborted) logger.error({ err: cut.signal.reason as Error }, 'the shutdown was cut short')
    logger.info({ reason, ...result }, 'shut down')
    o.exit(result.code)
    return result
  }

  function shutdown(reason: string): Promise<ShutdownResult> {
    if (ending === undefined) {
      const { promise, resolve } = Promise.withResolvers<ShutdownResult>()
      // Who hears of its beginning may ask for it once more.
      ending = promise
      resolve(end(reason))
    }
    return ending
  }

  return {
    add(name, part) {
      checkName('shutdown.add', name, [...parts.keys()])
      checkPart(part)
      parts.set(name, part)
      return () => {
        if (parts.get(name) === part) parts.delete(name)
      }
    },
    start() {
      if (started) return
      started = true
      const onSignal = (signal: NodeJS.Signals): void => {
        if (ending === undefined) void shutdown(signal)
        else cut.abort(new Error(`a second signal: ${signal}`))
      }
      for (const signal of new Set(o.signals)) process.on(signal, onSignal)
    },
    signal: tolerantSignal(begun.signal, (err) => logger.error({ err }, 'a listener of the signal failed')),
    shutdown,
  }
}

function last(parts: ReadonlyMap<string, Part>): string | undefined {
  return [...parts.keys()].at(-1)
}

function isSignal(given: unknown): boolean {
  return typeof given === 'string' && Object.hasOwn(constants.signals, given) && !NOT_FOR_US.includes(given)
}
