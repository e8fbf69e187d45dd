import { isKeelsonError, type Clock, type Logger } from '@keelson/kernel'
import { createBackgroundLoop } from '@keelson/kernel/background-loop'
import type { EntryInput } from './audit.ts'
import type { Emitter } from './emitter.ts'
import { AuditError } from './error.ts'
import { systemEntry } from './gaps.ts'
import type { Journal } from './journal.ts'
import type { AuditMetrics } from './metrics.ts'
import { createSealer, type Sealer, type SealerParts } from './sealer.ts'
import { createShipper, type Shipper } from './shipping/shipper.ts'
import type { Sink } from './sink.ts'
import type { AuditStore } from './store.ts'
import { timeOf } from './time-of.ts'
import { leafHash } from './tree/hashing.ts'
import { createTurns } from './turns.ts'

/** What runs in the background: the spool, sealing, shipping, heartbeats, retention. */
export interface Engine {
  readonly sealer: Sealer
  readonly shippers: readonly Shipper[]
  /** Something was appended, or wants to be shipped. */
  wake(): void
  begin(): Promise<void>
  /** Seals and ships what is there, as far as the time goes. */
  end(drainMs: number): Promise<void>
  /** All of it once; begins nothing behind the budget, in ms. Never while it runs. */
  once(budgetMs: number): Promise<{ done: boolean }>
  /** A `once` ends soon. */
  interrupt(): void
  /** Resolves when all that was durable is sealed and signed, or also shipped. @throws AuditError FLUSH_TIMEOUT */
  flush(to: 'sealed' | 'shipped', timeoutMs: number): Promise<void>
}

/** What an engine is made of; durations in ms. */
export interface EngineParts extends SealerParts {
  readonly store: AuditStore
  readonly journal: Journal
  readonly emitter: Pick<Emitter, 'mark'>
  readonly sinks: readonly Sink[]
  readonly owner: string
  readonly intervalMs: number
  readonly heartbeatMs: number | undefined
  isRunning(): boolean
  /** @throws AuditError CLOSED */
  checkOpen(): void
  record(entry: EntryInput): Promise<unknown>
  applyRetention(): Promise<unknown>
  readonly random: () => number
  readonly metrics: AuditMetrics
  readonly clock: Clock
  readonly logger: Logger
}

const RETENTION_MS = 3_600_000
const FAILED_MS = 1_000
const FLUSH_POLL_MS = 20

export function createEngine(o: EngineParts): Engine {
  const { log, store, work, journal, clock, logger, random } = o
  const sealer = createSealer(o)
  const shippers = o.sinks.map((sink) => createShipper({ ...o, sink, leafHash }))
  /** A stop waits for its turn: what runs alone must end. */
  let isOnce = false
  let isInterrupted = false

  async function sealTurn(): Promise<number> {
    // What waits in a spool that fails, or holds much, must not keep the others from being sealed.
    const isDrained = !(await journal.drainSpool().catch(spoolFailed))
    await journal.tellGap()
    const more = (await sealer.step()) || !isDrained
    for (const turns of shipping) turns.wake()
    const { heartbeatMs } = o
    if (heartbeatMs !== undefined && clock.monotonic() - sealer.grewMs >= heartbeatMs) await beat()
    return more ? 0 : o.intervalMs
  }

  /** Silence is signed as well: one entry an hour, whatever the number of nodes. */
  async function beat(): Promise<void> {
    const [last] = await work(() => store.search(log, { scope: null, order: 'desc', limit: 1 }))
    // When it was made: `at` is what the caller says. A clock that went back tells nothing.
    const quietMs = last === undefined ? Infinity : clock.now() - timeOf(last.leaf.id)
    if (quietMs >= o.heartbeatMs! || quietMs < 0) await o.record(systemEntry('audit.heartbeat', {}))
  }

  function spoolFailed(error: unknown): false {
    logger.error({ err: error }, 'audit.spool_failed')
    return false
  }

  function failed(what: string): (error: unknown) => number {
    return (error) => {
      logger.debug({ err: error }, `a turn of the ${what} of audit failed`)
      return FAILED_MS
    }
  }

  const sealing = createTurns({ turn: sealTurn, failed: failed('sealer'), clock })
  const shipping = shippers.map((shipper) =>
    createTurns({ turn: shipper.turn, failed: failed(`sink ${shipper.name}`), clock }),
  )
  const retaining = createBackgroundLoop({
    turn: o.applyRetention,
    pauseMs: () => RETENTION_MS * (1 - 0.2 * random()),
    failed: failed('retention'),
    clock,
  })

  /** Steps until one answers true; begins none when the time is over. False when it was first. Whoever waits is told of a close. */
  async function steps(untilMs: number, step: () => Promise<boolean>): Promise<boolean> {
    const isOver = (): boolean => isInterrupted || clock.monotonic() >= untilMs
    while (!isOver()) {
      o.checkOpen()
      if (await step()) return true
    }
    return false
  }

  async function behind(size: number): Promise<readonly string[]> {
    const { cursors } = await work(() => store.inspect(log))
    return shippers.map(({ name }) => name).filter((name) => (cursors[name] ?? 0) < size)
  }

  /** Steps of a sink until nothing is left to do now. False: it could not. */
  async function shipAll(shipper: Shipper, size: number, untilMs: number): Promise<boolean> {
    shipper.hurry(size)
    let isDone = false
    await steps(untilMs, async () => {
      const waitMs = await shipper.turn().catch((error: unknown) => {
        if (isKeelsonError(error)) throw error
        return undefined
      })
      // Its status says what is wrong with it.
      if (waitMs === undefined) return true
      isDone = (await behind(size)).every((name) => name !== shipper.name)
      // A sink that does not answer is for the next run.
      if (isDone || shipper.status().state !== 'running') return true
      if (waitMs > 0) await clock.sleep(Math.min(waitMs, FLUSH_POLL_MS))
      return false
    })
    return isDone
  }

  async function sealAll(untilMs: number): Promise<boolean> {
    const mark = await work(() => store.mark(log))
    return steps(untilMs, async () => {
      const more = await sealer.step()
      if (await work(() => store.isSealed(log, mark))) return true
      if (!more) await clock.sleep(FLUSH_POLL_MS)
      return false
    })
  }

  async function all(untilMs: number): Promise<{ done: boolean }> {
    const isDurable = await areEmitted(untilMs)
    const isDrained = await steps(untilMs, async () => !(await journal.drainSpool()))
    await journal.tellGap()
    const isSealed = isDurable && isDrained && (await sealAll(untilMs))
    const { size } = await work(() => store.head(log))
    const areShipped = await Promise.all(shippers.map((shipper) => shipAll(shipper, size, untilMs)))
    return { done: isSealed && areShipped.every(Boolean) }
  }

  return {
    sealer,
    shippers,
    wake() {
      if (!o.isRunning()) return
      for (const turns of shipping) turns.wake()
    },
    async begin() {
      sealing.start()
      for (const turns of shipping) turns.start()
      if (o.applyRetention !== undefined) retaining.start()
    },
    async end(drainMs) {
      const untilMs = clock.monotonic() + drainMs
      // A sink that does not answer must not hold up who stops us.
      const over = clock.timer(interruptAll, drainMs, { ref: true })
      await Promise.all([sealing.stop(), retaining.stop()])
      if (drainMs > 0) await sealAll(untilMs).catch(() => false)
      await Promise.all(shipping.map((turns) => turns.stop()))
      if (drainMs > 0) {
        const size = await work(() => store.head(log)).then(
          (head) => head.size,
          () => 0,
        )
        await Promise.all(shippers.map((shipper) => shipAll(shipper, size, untilMs).catch(() => false)))
      }
      over.cancel()
      await Promise.all(shippers.map((shipper) => shipper.end()))
    },
    async once(budgetMs) {
      isOnce = true
      try {
        return await all(clock.monotonic() + budgetMs)
      } finally {
        isOnce = false
        isInterrupted = false
        await Promise.all(shippers.map((shipper) => shipper.end()))
      }
    },
    interrupt() {
      isInterrupted = isOnce
      if (isOnce) interruptAll()
    },
    async flush(to, timeoutMs) {
      const untilMs = clock.monotonic() + timeoutMs
      if (!(await areEmitted(untilMs))) throw late('durable')
      await journal.settled()
      if (!(await spoolEmptied(untilMs))) throw late('out of the spool')
      const isSealed = o.isRunning() ? await sealedByTurns(untilMs) : await sealAll(untilMs)
      if (!isSealed) throw late('sealed')
      const { size } = await work(() => store.head(log))
      if (!(await isSigned(size, untilMs))) throw late('signed')
      if (to === 'sealed') return
      if (!o.isRunning()) {
        const areShipped = await Promise.all(shippers.map((shipper) => shipAll(shipper, size, untilMs)))
        if (!areShipped.every(Boolean)) throw late(`shipped to ${(await behind(size)).join(', ')}`)
        return
      }
      for (const shipper of shippers) shipper.hurry(size)
      for (const turns of shipping) turns.wake()
      for (;;) {
        o.checkOpen()
        const names = await behind(size)
        if (names.length === 0) return
        if (clock.monotonic() >= untilMs) throw late(`shipped to ${names.join(', ')}`)
        await clock.sleep(FLUSH_POLL_MS)
      }
    },
  }

  async function areEmitted(untilMs: number): Promise<boolean> {
    const areDone = o.emitter.mark()
    return steps(untilMs, async () => {
      if (areDone()) return true
      await clock.sleep(FLUSH_POLL_MS)
      return false
    })
  }

  async function sealedByTurns(untilMs: number): Promise<boolean> {
    const mark = await work(() => store.mark(log))
    return steps(untilMs, async () => {
      if (await work(() => store.isSealed(log, mark))) return true
      sealing.wake()
      await clock.sleep(FLUSH_POLL_MS)
      return false
    })
  }

  /** Sealed entries have their proof when the tree is signed: by this node, or by the one that sealed them. */
  async function isSigned(size: number, untilMs: number): Promise<boolean> {
    return steps(untilMs, async () => {
      const [last] = await work(() => store.checkpoints(log, { last: true }))
      if ((last?.size ?? 0) >= size) return true
      if (o.isRunning()) sealing.wake()
      else await sealer.step()
      await clock.sleep(FLUSH_POLL_MS)
      return false
    })
  }

  /** What is in the spool was accepted too: it cannot be sealed before the store has it. */
  async function spoolEmptied(untilMs: number): Promise<boolean> {
    if ((await journal.waiting()) === 0) return true
    return steps(untilMs, async () => {
      if (o.isRunning()) sealing.wake()
      else await journal.drainSpool()
      if ((await journal.waiting()) === 0) return true
      await clock.sleep(FLUSH_POLL_MS)
      return false
    })
  }

  function interruptAll(): void {
    for (const shipper of shippers) shipper.interrupt()
  }

  function late(what: string): AuditError {
    return new AuditError('FLUSH_TIMEOUT', `flush: not everything is ${what} yet`)
  }
}
