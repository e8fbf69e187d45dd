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
  let apartMs = clock.now() - clock.monotonic()
  let member: Member | undefined
  let started = false
  let timer: { cancel(): void } | undefined
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
          if (!current()) return
          lose('subscription')
          void leave()
          again(leaseMs / RETRIES)
        },
      },
    })
    return within(joined, (late) => late.leave())
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
    member ??= await join()
    const sentMs = clock.monotonic()
    const answer = await within(member.renew())
    const gotMs = clock.monotonic()
    const wasSuspended = Math.abs(clock.now() - gotMs - apartMs) > SUSPENDED_MS
    apartMs = clock.now() - gotMs
    // Between two leases nobody had to tell us of anything: what was put or read meanwhile is not to be trusted.
    if (gotMs >= lease.endsMs) {
      lose('lapsed')
      forget()
    }
    if (wasSuspended) forget()
    if (answer.epoch !== epoch) {
      if (epoch !== undefined) logger.warn({}, 'cache.epoch.new')
      forget()
      epoch = answer.epoch
    }
    if (!gate.open || !started) throw new Error('lost or stopped while it was renewed')
    lease.endsMs = sentMs + leaseMs
  }

  function again(inMs: number): void {
    timer?.cancel()
    if (!started) return
    timer = clock.timer(() => {
      turn = run()
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
      await (turn = run())
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
