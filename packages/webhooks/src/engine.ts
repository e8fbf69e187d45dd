import type { Clock, Logger } from '@keelson/kernel'
import { createBackgroundLoop, type BackgroundLoop } from '@keelson/kernel/background-loop'
import type { GuardedStore } from '@keelson/kernel/guarded-store'
import type { Audiences } from './audiences.ts'
import type { Encryption } from './encryption.ts'
import { createDispatcher, type Dispatcher, type DispatcherParts } from './dispatcher.ts'
import { createDueTimer } from './due-timer.ts'
import type { CheckedNetwork } from './network-options.ts'
import { noticesOf, reapedNotice } from './notices.ts'
import { createOpenedSecrets } from './opened-secrets.ts'
import { outsideRequests } from './outside-requests.ts'
import { createRouter } from './router.ts'
import type { Sender } from './sending/sender.ts'
import type { Retention, WebhookStore } from './store.ts'
import type { OperationalNotice } from './webhooks.ts'

/** What runs in the background: routing, deliveries, leases that are over, redrives, retention. */
export interface Engine {
  readonly slots: Dispatcher['slots']
  /** Something may have become due. */
  wake(): void
  begin(): Promise<void>
  /** Waits for attempts under way, gives back what is left then. */
  end(drainMs: number): Promise<void>
  /** All of it once, until nothing is due now; begins nothing after the budget, in ms. Never while it runs. */
  once(budgetMs: number): Promise<{ done: boolean }>
  /** Ends a `once` as `end` does. */
  interrupt(drainMs: number): void
}

/** What an engine is made of; durations in ms. */
export interface EngineParts extends Omit<DispatcherParts, 'call' | 'settled' | 'idle' | 'failed' | 'secrets'> {
  /** Between `begin` and `end`. */
  isRunning(): boolean
  readonly store: WebhookStore
  readonly guarded: GuardedStore
  readonly audiences: Audiences
  readonly encryption: Encryption
  readonly network: CheckedNetwork
  readonly pollInterval: number
  readonly retention: Retention
  tell(notice: OperationalNotice): void
  readonly clock: Clock
  readonly logger: Logger
}

const TEND_MS = 1_000
const TEND_LIMIT = 500
/** A node whose slots are taken sees what is overdue all the time. */
const REAP_MS = 200
const SWEEP_MS = 60_000
/** In steps: retention must not stand in the way of deliveries. */
const SWEEP_LIMIT = 500
const SWEEP_STEPS = 20
/** Of `runOnce`, when what is due is held by another node. */
const AGAIN_MS = 25

export function createEngine(o: EngineParts): Engine {
  const { store, guarded, handlers, isRunning, tell, random, clock, logger } = o

  const outside = outsideRequests()
  const router = createRouter(store, guarded.work, o.audiences)
  const dispatcher = createDispatcher({
    ...o,
    secrets: createOpenedSecrets(o.encryption, clock),
    call: guarded.work,
    settled(settlement, result, claim) {
      for (const notice of noticesOf(settlement, result, claim)) tell(notice)
    },
    failed({ token, event, attempts }, { outcome, status, error }) {
      const { scope: _, ...ids } = token
      const about = { ...ids, event: event.id, type: event.type, attempt: attempts + 1 }
      logger.warn({ ...about, outcome, status, reason: error }, 'webhooks.attempt_failed')
    },
    idle() {
      if (isRunning()) due.look()
    },
  })
  const due = createDueTimer({ nextDue, wake, overdue, pollMs: o.pollInterval, clock })

  const isDue = async (): Promise<boolean> => ((await nextDue()) ?? 1) <= 0

  async function nextDue(): Promise<number | null> {
    return outside(() => guarded.work(() => store.nextDue({ handlers: [...handlers.keys()] })))
  }

  let routing: Promise<void> | undefined
  let again = false
  async function routeAll(): Promise<void> {
    try {
      do {
        again = false
        while (await router.step());
      } while (again)
    } catch (error) {
      logger.debug({ err: error }, 'a turn of the router of webhooks failed')
    }
  }

  function wake(): void {
    if (!isRunning()) return
    again = true
    routing ??= outside(routeAll).finally(() => {
      routing = undefined
      dispatcher.pump()
    })
    dispatcher.pump()
  }

  /** What the store must know of this node, once it answers. */
  let registered = 0
  let unhear: (() => Promise<void>) | undefined
  async function introduce(): Promise<void> {
    if (registered < handlers.size) {
      const rows = [...handlers.values()].map(({ name, types, scope, rules }) => ({ name, types, scope, rules }))
      await guarded.work(() => store.registerHandlers(rows))
      registered = rows.length
    }
    if (!isRunning()) return
    unhear ??= await guarded.work(() => store.onWake(wake), { late: (stop) => void stop().catch(() => {}) })
  }

  async function hearNoMore(): Promise<void> {
    const hearing = unhear
    unhear = undefined
    await hearing?.().catch(() => {})
  }

  /** Leases that are over, and redrives. True when there may be more. */
  async function tend(): Promise<boolean> {
    await introduce()
    const reaped = await reap()
    const moved = await guarded.work(() => store.deliveries.redriveStep(TEND_LIMIT))
    if (moved > 0) wake()
    return reaped >= TEND_LIMIT
  }

  let reapedMs = -Infinity
  /** Leases that are over; how many. */
  async function reap(): Promise<number> {
    reapedMs = clock.monotonic()
    const reaped = await guarded.work(() => store.reap(TEND_LIMIT))
    for (const one of reaped) if (one.dead) tell(reapedNotice(one))
    if (reaped.length > 0) wake()
    return reaped.length
  }

  let reaping: Promise<unknown> | undefined
  /** The next turn of the tending may be a second away. */
  function overdue(): void {
    if (!isRunning() || clock.monotonic() < reapedMs + REAP_MS) return
    reaping = outside(reap).catch((error: unknown) => {
      logger.debug({ err: error }, 'leases of webhooks could not be ended')
    })
  }

  async function sweep(): Promise<void> {
    for (let step = 0; step < SWEEP_STEPS; step++) {
      if ((await guarded.work(() => store.sweep(SWEEP_LIMIT, o.retention))) === 0) return
    }
  }

  /** Nodes that start together must not look together. */
  function loop(turn: () => Promise<unknown>, everyMs: number, what: string): BackgroundLoop {
    return createBackgroundLoop({
      turn,
      pauseMs: () => everyMs * (1 - 0.2 * random()),
      failed: (error) => logger.debug({ err: error }, `a turn of the ${what} of webhooks failed`),
      clock,
    })
  }
  const tending = loop(tend, TEND_MS, 'leases')
  const sweeping = loop(sweep, SWEEP_MS, 'retention')

  async function openSender(): Promise<Sender> {
    // undici is loaded by those who send.
    const { createSender } = await import('./sending/sender.ts')
    return createSender(o.network, clock)
  }

  let sender: Sender | undefined
  let isOnce = false
  let onceUntilMs = -Infinity
  const isOver = (): boolean => clock.monotonic() >= onceUntilMs

  /** Steps until one says that nothing is left, or the time is over. */
  async function steps(step: () => Promise<boolean>): Promise<void> {
    while (!isOver()) if (await step()) return
  }

  async function untilDone(): Promise<{ done: boolean }> {
    for (;;) {
      await steps(async () => !(await tend()))
      await steps(async () => !(await router.step()))
      await dispatcher.drainDue(isOver)
      if (isOver()) return { done: !(await isDue()) }
      if (!(await isDue())) {
        await sweep()
        return { done: true }
      }
      await clock.sleep(AGAIN_MS)
    }
  }

  return {
    slots: dispatcher.slots,
    wake,
    async begin() {
      sender = await openSender()
      // A node may start while its store is away: it introduces itself when that answers.
      await introduce().catch((error: unknown) => {
        logger.warn({ err: error }, 'webhooks are started, but their store does not answer')
      })
      dispatcher.open(sender)
      tending.start()
      sweeping.start()
      wake()
    },
    async end(drainMs) {
      due.stop()
      await Promise.all([
        dispatcher.close(drainMs),
        // A turn that runs may just begin to hear.
        tending.stop().then(hearNoMore),
        sweeping.stop(),
        routing,
        reaping,
      ])
      await sender?.close()
      sender = undefined
    },
    async once(budgetMs) {
      const own = await openSender()
      isOnce = true
      onceUntilMs = clock.monotonic() + budgetMs
      dispatcher.open(own)
      try {
        return await untilDone()
      } finally {
        isOnce = false
        await dispatcher.close(0)
        await own.close()
      }
    },
    interrupt(drainMs) {
      if (!isOnce) return
      onceUntilMs = -Infinity
      void dispatcher.close(drainMs)
    },
  }
}
