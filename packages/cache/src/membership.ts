import type { Clock, Logger } from '@keelson/kernel'
import type { Gate } from './gate.ts'
import type { GuardedTier } from './guarded-tier.ts'
import type { CacheTier, Member, MemberEvents } from './store.ts'

/** This node among those that hear of invalidations: its right to serve from its own memory. */
export interface Membership {
  /** Until when it may, on the monotonic clock: compared at each hit. */
  readonly lease: Readonly<{ endsMs: number }>
  readonly epoch: string | undefined
  /** Joins, and renews from now on. Resolves after the first try, whatever came of it. */
  start(): Promise<void>
  /** Gives the lease back. */
  stop(): Promise<void>
}

/** A renewal every third of a lease; after a failure sooner. */
const RENEWALS = 3
const RETRIES = 10
/** Wall and monotonic clock part by more only when the machine stood still, or was set: both cost the memory. */
const SUSPENDED_MS = 100
/**
 * Who holds a lease lets it end sooner than who waits for its end: the server counts whole ms (up to 1 lost as it is
 * given, 1 as the rest is asked for), Node fires a timer up to 1 ms early, and two clocks part by 0.05 % (what NTP slews)
 * and their quartz's error.
 */
const ROUNDED_MS = 3
const DRIFT = 0.002

function notMember(): never {
  throw new Error('lost or stopped while it was renewed')
}

export function createMembership(o: {
  readonly tier: CacheTier
  readonly shared: GuardedTier
  readonly gate: Gate
  readonly node: string
  readonly leaseMs: number
  readonly on: Omit<MemberEvents, 'lost'>
  /** What is in memory cannot be trusted any more. */
  readonly forget: () => void
  readonly clock: Clock
  readonly logger: Logger
}): Membership {
  const { tier, shared, gate, node, leaseMs, on, forget, clock, logger } = o
  const lease = { endsMs: -Infinity }
  let epoch: string | undefined
  /** Wall over monotonic clock at the last renewal. */
  let apartMs = 0
  let member: Member | undefined
  let started = false
  let timer: { cancel(): void } | undefined
  /** One run after another. */
  let turn: Promise<void> = Promise.resolve()
  /** Counts joins: what an older connection says is of no interest. */
  let joins = 0

  /** Nothing to lose before the first lease. */
  function lose(why: string): void {
    if (lease.endsMs === -Infinity) return
    logger.warn({ why }, 'cache.lease.lost')
    lease.endsMs = -Infinity
    forget()
    gate.shut()
  }

  async function join(): Promise<Member> {
    const own = ++joins
    let isLost = false
    const current = (): boolean => own === joins && started
    const joined = tier.join!(node, {
      leaseMs,
      on: {
        bump(message) {
          if (!current()) return
          on.bump(message)
          member?.ack(message)
        },
        filled: (scope, key) => on.filled(scope, key),
        ack: (stamp, from) => on.ack(stamp, from),
        lost() {
          isLost = true
          if (!current()) return
          lose('subscription')
          void leave()
          again(leaseMs / RETRIES)
        },
      },
    })
    member = await within(joined, (late) => late.leave())
    if (isLost) await leave()
    return member ?? notMember()
  }

  /** Waits at most a lease: what comes later is of no use. */
  async function within<T>(work: Promise<T>, late?: (value: T) => Promise<unknown>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    let over = false
    const limit = clock.timer(() => {
      over = true
      reject(new Error(`no answer in ${leaseMs} ms`))
    }, leaseMs)
    work.then((value) => {
      if (over) void late?.(value).catch(() => {})
      else resolve(value)
    }, reject)
    try {
      return await promise
    } finally {
      limit.cancel()
    }
  }

  async function renew(): Promise<void> {
    if (!shared.up) throw new Error('the store is away')
    if (clock.monotonic() >= lease.endsMs) lose('lapsed')
    if (!gate.open) await gate.pass()
    const isFirst = lease.endsMs === -Infinity
    const own = member ?? (await join())
    const sentMs = clock.monotonic()
    if (isFirst) apartMs = clock.now() - sentMs
    const answer = await within(own.renew())
    const gotMs = clock.monotonic()
    const movedMs = clock.now() - gotMs - apartMs
    apartMs += movedMs
    if (gotMs >= lease.endsMs) lose('lapsed')
    // It cannot say since when: what it was given may be over.
    if (Math.abs(movedMs) > SUSPENDED_MS) {
      lose('suspended')
      notMember()
    }
    if (answer.epoch !== epoch) {
      if (epoch !== undefined) logger.warn({}, 'cache.epoch.new')
      forget()
      epoch = answer.epoch
    }
    if (member !== own || !gate.open || !started) notMember()
    // Between two leases nobody had to tell us of anything.
    if (lease.endsMs === -Infinity) forget()
    lease.endsMs = sentMs + leaseMs * (1 - DRIFT) - ROUNDED_MS
  }

  function again(inMs: number): void {
    timer?.cancel()
    if (!started) return
    timer = clock.timer(() => {
      turn = turn.then(run)
    }, inMs)
  }

  async function run(): Promise<void> {
    try {
      await renew()
      again(leaseMs / RENEWALS)
    } catch (error) {
      logger.debug({ err: error }, 'cache lease not renewed')
      // What it holds still counts until its end; a lease that ended is noticed at the hit.
      if (clock.monotonic() >= lease.endsMs) lose('not renewed')
      again(leaseMs / RETRIES)
    }
  }

  async function leave(): Promise<void> {
    const left = member
    member = undefined
    await left?.leave().catch(() => {})
  }

  return {
    lease,
    get epoch() {
      return epoch
    },
    async start() {
      if (started) return
      started = true
      await (turn = turn.then(run))
    },
    async stop() {
      if (!started) return
      started = false
      timer?.cancel()
      lease.endsMs = -Infinity
      forget()
      await turn
      await within(leave()).catch(() => {})
    },
  }
}
