import { checkOptions, opt, systemClock, type Clock } from '@keelson/kernel'
import { seededRandom } from '@keelson/kernel/testing'
import { optionFailure, ResilienceError } from '../error.ts'

/** What goes wrong, and how often: `rate` is a chance from 0 to 1. */
export type ChaosRule = { readonly rate: number } & (
  | {
      readonly fault: 'error'
      /** Default a ResilienceError CHAOS. */
      readonly error?: () => unknown
    }
  | {
      readonly fault: 'latency'
      /** The least and the most, in ms. */
      readonly ms: readonly [number, number]
    }
  | { readonly fault: 'hang' }
  | { readonly fault: 'value'; readonly value: () => unknown }
)

/** What `createChaos` takes. */
export interface ChaosOptions {
  /** An integer: equal seeds break the same calls. */
  readonly seed: number
  /** Each is asked in turn; the first that strikes counts. */
  readonly rules: readonly ChaosRule[]
  /** Default true. */
  readonly enabled?: boolean
  /** Without it NODE_ENV=production is refused. */
  readonly allowInProduction?: boolean
  readonly clock?: Clock
}

/** What struck: the number of the call from 0 on, the number of the rule, and of a latency how long. */
export interface ChaosEvent {
  readonly n: number
  readonly rule: number
  readonly ms?: number
}

/** Breaks calls, repeatably. */
export interface Chaos {
  /** A function that does what `f` does, unless a rule strikes. */
  wrap<F extends (...args: any[]) => any>(f: F): F
  enabled: boolean
  /** What struck, oldest first: the last 10,000. */
  log(): readonly ChaosEvent[]
}

const MAX_LOG = 10_000

const SPEC = {
  seed: opt.required(opt.custom<number>('an integer', (given) => Number.isInteger(given))),
  rules: opt.required(opt.custom<readonly ChaosRule[]>('an array of rules', Array.isArray)),
  enabled: opt.boolean(true),
  allowInProduction: opt.boolean(false),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
}

/**
 * Chaos for tests and staging. Whether call n is broken, and how, depends on the seed and n alone.
 * @throws ResilienceError OPTION_INVALID; also in production unless it is allowed there.
 */
export function createChaos(options: ChaosOptions): Chaos {
  const { seed, rules, enabled, allowInProduction, clock } = checkOptions('createChaos', options, SPEC, optionFailure)
  rules.forEach(checkRule)
  if (!allowInProduction && process.env['NODE_ENV'] === 'production')
    throw optionFailure('createChaos: "allowInProduction" must be true where NODE_ENV is \'production\' (got false)')
  const events: ChaosEvent[] = []
  let calls = 0

  /** The rule that strikes call n, and a number in [0, 1) for what else it has to choose. */
  function strike(n: number): { readonly rule: number; readonly chance: number } | undefined {
    const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(n + 1, 0x85ebca6b))
    const rule = rules.findIndex(({ rate }) => random() < rate)
    return rule < 0 ? undefined : { rule, chance: random() }
  }

  function log(event: ChaosEvent): void {
    events.push(event)
    if (events.length > MAX_LOG) events.shift()
  }

  const chaos: Chaos = {
    enabled,
    log: () => [...events],
    wrap<F extends (...args: any[]) => any>(f: F): F {
      return function (this: unknown, ...args: unknown[]): unknown {
        if (!chaos.enabled) return Reflect.apply(f, this, args)
        const n = calls++
        const struck = strike(n)
        if (struck === undefined) return Reflect.apply(f, this, args)
        const rule = rules[struck.rule]!
        if (rule.fault !== 'latency') log({ n, rule: struck.rule })
        switch (rule.fault) {
          case 'error':
            throw rule.error === undefined ? new ResilienceError('CHAOS', `chaos: rule ${struck.rule}`) : rule.error()
          case 'value':
            return rule.value()
          case 'hang':
            return new Promise(() => {})
          case 'latency': {
            const [min, max] = rule.ms
            const ms = min + struck.chance * (max - min)
            log({ n, rule: struck.rule, ms })
            return clock.sleep(ms).then(() => Reflect.apply(f, this, args) as unknown)
          }
        }
      } as F
    },
  }
  return chaos
}

function checkRule(rule: ChaosRule, at: number): void {
  const refuse = (what: string, came: unknown): never => {
    throw optionFailure(`createChaos: "rules[${at}]${what} (got ${String(came)})`)
  }
  if (typeof rule !== 'object' || rule === null) return refuse('" must be an object', rule)
  if (!(typeof rule.rate === 'number' && rule.rate >= 0 && rule.rate <= 1))
    refuse('.rate" must be a number from 0 to 1', rule.rate)
  if (!['error', 'latency', 'hang', 'value'].includes(rule.fault))
    refuse(`.fault" must be 'error', 'latency', 'hang' or 'value'`, rule.fault)
  if (rule.fault === 'error' && rule.error !== undefined && typeof rule.error !== 'function')
    refuse('.error" must be a function', rule.error)
  if (rule.fault === 'value' && typeof rule.value !== 'function') refuse('.value" must be a function', rule.value)
  if (rule.fault === 'latency') {
    const [min, max] = Array.isArray(rule.ms) ? (rule.ms as readonly number[]) : []
    if (!(Number.isFinite(min) && Number.isFinite(max) && min! >= 0 && max! >= min!))
      refuse('.ms" must be [least, most] in ms', rule.ms)
  }
}
