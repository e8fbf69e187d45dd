import {
  checkOptions,
  createStoreGuard,
  isKeelsonError,
  isStoreFailure,
  opt,
  systemClock,
  traced,
  type Clock,
  type Component,
  type Duration,
  type Logger,
  type Status,
} from '@keelson/kernel'
import { isBrokenOff } from '@keelson/kernel/guarded-store'
import { optionFailure, ResilienceError } from '../error.ts'
import { shown } from '../shown.ts'
import { blankDecision, decisionOf, type Decision, type Source } from './decision.ts'
import { createDenials } from './denials.ts'
import { memoryStore } from './memory.ts'
import { createLimiterMetrics } from './metrics.ts'
import { compileQuotas, NAME, type Quota } from './quota.ts'
import type { LimiterStore, QuotaSpec, StoreAnswer } from './store.ts'
import { checkCost, checkSubject, digestSubject, type Subject } from './subject.ts'
import { createSweeper } from './sweeper.ts'

/** What `createLimiter` takes; durations as ms or '5s'. */
export interface LimiterOptions {
  /** 1 to 64 of `a-z 0-9 _ . -`; limiters of one name share their counters. The metrics' label. */
  readonly name: string
  /** Different names; all of them admit, or nothing is counted. */
  readonly quotas: Quota | readonly Quota[]
  /** What all nodes share; default `memoryStore()`: this process alone. */
  readonly store?: LimiterStore
  /** How long the store may take to answer; default 250 ms. */
  readonly storeTimeout?: Duration
  /**
   * While the store is away: 'local' (default) counts in this process, up to its share of each limit; 'allow' and
   * 'deny' count nothing. Only 'deny' keeps a limit that must never be passed.
   */
  readonly onStoreFailure?: 'local' | 'allow' | 'deny'
  /** How many processes share the limits, for 'local'; default 1. */
  readonly nodes?: number | (() => number)
  readonly clock?: Clock
  readonly logger?: Logger
}

/** `down` while nothing is admitted because the store is away, `degraded` while it is away. */
export interface LimiterStatus extends Status {
  readonly store: 'up' | 'down'
  /** Subjects that this process holds: counted here, or remembered as refused. */
  readonly subjects: number
}

/** May this subject do this now? Exact across processes while `exact` is true. */
export interface Limiter extends Component {
  /**
   * Counts `cost` units (1) in every quota, or in none. At most one round trip; none for what was refused and will
   * still be. Rejects with ResilienceError SCOPE_INVALID, INPUT_INVALID and CLOSED, and with what a limit function
   * throws; never because the store is away.
   */
  take(subject: Subject): Promise<Decision>
  /** What a take would be told; a cost of 0 asks for 1. Nothing is counted. Rejects as `take`. */
  peek(subject: Subject): Promise<Decision>
  /**
   * Takes back what was counted for a decision of this limiter, or `cost` of its units; never more than is left of it.
   * They go to where they were counted: what has left its window or period gives nothing. Rejects with
   * STORE_UNAVAILABLE: then they may be lost, which admits less, never more.
   */
  refund(decision: Decision, cost?: number): Promise<void>
  /** Forgets what was counted for a subject; other processes may refuse it for another minute. Rejects with STORE_UNAVAILABLE. */
  reset(subject: Subject): Promise<void>
  inspect(): Promise<LimiterStatus>
  /** Begins to remove expired counters, about once a minute; for stores that do not do it themselves. */
  start(): Promise<void>
  stop(): Promise<void>
  /** One such round, for at most `budget` (10 s). */
  runOnce(o?: { readonly budget?: Duration }): Promise<{ readonly done: boolean }>
}

const isNodes = (given: unknown): boolean => Number.isSafeInteger(given) && (given as number) >= 1

const SPEC = {
  name: opt.required(opt.string(undefined, NAME)),
  quotas: opt.required(
    opt.custom<Quota | readonly Quota[]>(
      'a quota or an array of quotas',
      (given) => typeof given === 'object' && given !== null,
    ),
  ),
  store: opt.port<LimiterStore>(['take', 'peek', 'refund', 'reset']),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  onStoreFailure: opt.oneOf<'local' | 'allow' | 'deny'>(['local', 'allow', 'deny'], 'local'),
  nodes: opt.custom<number | (() => number)>(
    'an integer of at least 1 or a function',
    (given) => typeof given === 'function' || isNodes(given),
    1,
  ),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}
const RUN_ONCE = { budget: opt.duration('10s') }

/** Takes on their way are bounded by the application's requests; the guard's own bound only ends what is beyond reason. */
const MAX_PENDING = 10_000
/** What a refusal says whose end nobody knows: the store may be back then. */
const ASK_AGAIN_MS = 1_000
/** Read to learn whether the store lives; nothing is ever counted in it. */
const PING: QuotaSpec = { key: 'ping', algorithm: 'fixed', limit: 1, windowMs: 1_000 }

/** What can be taken back of a decision. */
interface Taken {
  readonly store: LimiterStore
  readonly subject: string
  readonly specs: readonly QuotaSpec[]
  readonly tokens: readonly string[]
  left: number
}

/**
 * A limiter over a store that its processes share.
 * @throws ResilienceError OPTION_INVALID
 */
export function createLimiter(options: LimiterOptions): Limiter {
  const o = checkOptions('createLimiter', options, SPEC, optionFailure)
  const { name, onStoreFailure, clock, logger } = o
  const store = o.store ?? memoryStore({ clock })
  const quotas = compileQuotas(o.quotas)
  const guard = createStoreGuard({
    name: 'limiter store',
    timeout: o.storeTimeout,
    ping: () => store.peek('ping', [PING], 1),
    maxPending: MAX_PENDING,
    clock,
    logger,
  })
  const local = memoryStore({ clock })
  const denials = createDenials(() => clock.monotonic())
  const metrics = createLimiterMetrics(name)
  const sweeper = createSweeper(sweep, clock, logger)
  /** What was decided here; nothing can be taken back of a refusal. */
  const taken = new WeakMap<Decision, Taken | undefined>()
  /** The store's wall clock against ours: which period of a calendar it is. */
  let skewMs = 0
  let closed = false
  let closing: Promise<void> | undefined

  const constantSpecs = quotas.every(({ constant }) => constant) ? specsOf({ scope: 'x', key: 'x' }) : undefined

  function specsOf(subject: Subject, nodes = 1): readonly QuotaSpec[] {
    return quotas.map((quota) => quota.spec(quota.limitFor(subject), nodes, clock.now() + skewMs))
  }

  function checkOpen(): void {
    if (closed) throw new ResilienceError('CLOSED', `limiter '${name}' was closed`)
  }

  function checkCall(subject: Subject): void {
    checkOpen()
    checkSubject(subject)
  }

  /** Asks the store; once more when its clock is far from ours, which only a calendar notices. */
  async function ask(
    subject: Subject,
    call: (specs: readonly QuotaSpec[]) => Promise<StoreAnswer>,
  ): Promise<{ readonly specs: readonly QuotaSpec[]; readonly answer: StoreAnswer }> {
    for (let tries = 1; ; tries++) {
      const specs = constantSpecs ?? specsOf(subject)
      const answer = await call(specs)
      if (answer.quotas.length > 0) return { specs, answer }
      skewMs = answer.nowMs - clock.now()
      if (tries === 2) throw unavailable('its clock is in none of the periods that it was sent')
    }
  }

  async function takeFromStore(subject: Subject, digest: string, cost: number): Promise<Decision> {
    const askedMs = clock.monotonic()
    const { specs, answer } = await ask(subject, (specs) =>
      guard.call(() => store.take(digest, specs, cost), {
        // Its caller was answered otherwise, so it must not count.
        late: ({ granted, quotas }) => {
          if (granted > 0)
            void guard.call(() => store.refund(digest, specs, quotas.map(tokenOf), granted)).catch(() => {})
        },
      }),
    )
    const decision = decisionOf(quotas, specs, answer, 'store')
    if (decision.allowed) remember(decision, store, digest, specs, answer)
    else denials.note(digest, specs, cost, decision, askedMs)
    return decision
  }

  async function peekAtStore(subject: Subject, digest: string, cost: number): Promise<Decision> {
    const { specs, answer } = await ask(subject, (specs) => guard.call(() => store.peek(digest, specs, cost)))
    return decisionOf(quotas, specs, answer, 'store')
  }

  function remember(
    decision: Decision,
    from: LimiterStore,
    subject: string,
    specs: readonly QuotaSpec[],
    answer: StoreAnswer,
  ): void {
    taken.set(decision, {
      store: from,
      subject,
      specs,
      tokens: answer.quotas.map(tokenOf),
      left: answer.granted,
    })
  }

  /** What `onStoreFailure` says, for a call that the store did not serve. */
  async function withoutStore(
    error: unknown,
    subject: Subject,
    digest: string,
    cost: number,
    method: 'take' | 'peek',
  ): Promise<Decision> {
    if (!isAway(error)) throw error
    metrics.storeFailed()
    const wallMs = clock.now() + skewMs
    if (onStoreFailure !== 'local') {
      const retryAfter = onStoreFailure === 'allow' ? 0 : ASK_AGAIN_MS
      return blankDecision(quotas, specsOf(subject), wallMs, retryAfter)
    }
    // This process's clock is the local store's.
    skewMs = 0
    const specs = specsOf(subject, nodesNow())
    const answer = await local[method](digest, specs, cost)
    const decision = decisionOf(quotas, specs, answer, 'local')
    if (method === 'take' && decision.allowed) remember(decision, local, digest, specs, answer)
    // More than this node's share can fit when the store is back.
    return decision.retryAfter === Infinity ? { ...decision, retryAfter: ASK_AGAIN_MS } : decision
  }

  function nodesNow(): number {
    const nodes: unknown = typeof o.nodes === 'function' ? o.nodes() : o.nodes
    if (isNodes(nodes)) return nodes as number
    throw new ResilienceError('INPUT_INVALID', `nodes() must answer an integer of at least 1 (got ${shown(nodes)})`)
  }

  async function peek(subject: Subject): Promise<Decision> {
    checkCall(subject)
    const digest = digestSubject(name, subject)
    const cost = subject.cost || 1
    const decision = await peekAtStore(subject, digest, cost).catch((error: unknown) =>
      withoutStore(error, subject, digest, cost, 'peek'),
    )
    taken.set(decision, undefined)
    return decision
  }

  async function take(subject: Subject): Promise<Decision> {
    const { cost = 1 } = subject ?? {}
    if (cost === 0) return peek(subject)
    checkCall(subject)
    const message: { limiter: string; allowed?: boolean; source?: Source } = { limiter: name }
    return traced(
      'resilience:take',
      () => message,
      async () => {
        const digest = digestSubject(name, subject)
        const decision =
          (denials.size > 0 ? denials.find(digest, constantSpecs ?? specsOf(subject), cost) : undefined) ??
          (await takeFromStore(subject, digest, cost).catch((error: unknown) =>
            withoutStore(error, subject, digest, cost, 'take'),
          ))
        if (!taken.has(decision)) taken.set(decision, undefined)
        message.allowed = decision.allowed
        message.source = decision.source
        metrics.decided(decision)
        return decision
      },
    )
  }

  async function refund(decision: Decision, cost?: number): Promise<void> {
    checkOpen()
    if (cost !== undefined) checkCost(cost)
    if (!taken.has(decision))
      throw new ResilienceError('INPUT_INVALID', `refund: this is no decision of limiter '${name}'`)
    const of = taken.get(decision)
    const units = Math.min(cost ?? Infinity, of?.left ?? 0)
    if (of === undefined || units === 0) return
    // Before the call: a reply that is lost must not give them back twice.
    of.left -= units
    try {
      await served(() => of.store.refund(of.subject, of.specs, of.tokens, units), of.store)
    } finally {
      // Behind the call: a take that is on its way may be refused by what is given back just now.
      denials.forget(of.subject)
    }
  }

  async function reset(subject: Subject): Promise<void> {
    checkCall(subject)
    const digest = digestSubject(name, subject)
    const specs = constantSpecs ?? specsOf(subject)
    await local.reset(digest, specs)
    await served(() => store.reset(digest, specs), store)
    denials.forget(digest)
  }

  /** A call that nobody can answer in the store's place. */
  async function served(call: () => Promise<void>, by: LimiterStore): Promise<void> {
    if (by === local) return call()
    return guard.call(call).catch((error: unknown) => {
      if (!isAway(error)) throw error
      metrics.storeFailed()
      throw unavailable((error as Error).message, error)
    })
  }

  function unavailable(why: string, cause?: unknown): ResilienceError {
    const retryAfter = isKeelsonError(cause) ? (cause.retryAfter ?? ASK_AGAIN_MS) : ASK_AGAIN_MS
    return new ResilienceError('STORE_UNAVAILABLE', `limiter '${name}': ${why}`, { cause, retryAfter })
  }

  async function sweep(count: number): Promise<number> {
    const swept = await local.sweep!(count)
    // Without the guard: that a large table takes long is no outage.
    if (guard.state === 'open' || store.sweep === undefined) return swept
    return Math.max(swept, await store.sweep(count))
  }

  async function inspect(): Promise<LimiterStatus> {
    const { state, openedAt, lastError: message } = guard.stats()
    const here = store as { readonly size?: unknown }
    const counted = local.size + (typeof here.size === 'number' ? here.size : 0)
    return {
      name: 'limiter',
      state: state === 'closed' ? 'ok' : onStoreFailure === 'deny' ? 'down' : 'degraded',
      counts: { counted, denials: denials.size },
      ...(openedAt === undefined
        ? {}
        : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: message ?? '' } }),
      store: state === 'closed' ? 'up' : 'down',
      subjects: counted + denials.size,
    }
  }

  async function end(): Promise<void> {
    await sweeper.stop()
    guard.close()
    await store.close?.()
  }

  async function close(): Promise<void> {
    closed = true
    return (closing ??= end())
  }

  return {
    take,
    peek,
    refund,
    reset,
    inspect,
    async start() {
      checkOpen()
      sweeper.start()
    },
    stop: () => sweeper.stop(),
    async runOnce(options) {
      checkOpen()
      const { budget } = checkOptions('runOnce', options, RUN_ONCE, optionFailure)
      return { done: await sweeper.once(clock.monotonic() + budget) }
    },
    metrics: metrics.families,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The store did not serve the call; whatever else it answers is a mistake that must be seen. */
function isAway(error: unknown): boolean {
  return isKeelsonError(error, 'STORE_UNAVAILABLE') || isStoreFailure(error) || isBrokenOff(error)
}

function tokenOf({ token }: { readonly token: string }): string {
  return token
}
