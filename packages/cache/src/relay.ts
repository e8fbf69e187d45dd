import { traced, type Clock, type Logger } from '@keelson/kernel'
import { createBackgroundLoop, stepUntil, type BackgroundLoop } from '@keelson/kernel/background-loop'
import type { Bumped, DropLog, DropRow } from './store.ts'

/** Applies committed drops whose author died or could not. On every node; they share the work. */
export interface Relay extends BackgroundLoop {
  /** Rows until nothing is left or `untilMs` (monotonic). True when nothing is left. */
  once(untilMs: number): Promise<boolean>
  /** Of the last look, ms. */
  readonly oldestMs: number
}

const LIMIT = 500
/** Nodes that start together must not look together. */
const JITTER = 0.2
/** The backlog's age is looked at once in so many turns. */
const LOOK_EVERY = 20

export function createRelay(o: {
  readonly name: string
  readonly log: DropLog
  readonly apply: (list: readonly Bumped[]) => Promise<unknown>
  readonly relayed: (rows: number) => void
  /** False while the shared store is away. */
  readonly reachable: () => boolean
  readonly random: () => number
  readonly clock: Clock
  readonly logger: Logger
}): Relay {
  const { name, log, apply, relayed, reachable, random, clock, logger } = o
  let turns = 0
  let oldestMs = 0

  async function claim(): Promise<number> {
    const rows = await traced(
      'cache:relay',
      () => ({ cache: name }),
      () =>
        log.claim(
          name,
          { olderThanMs: log.relayAfterMs, limit: LIMIT },
          async (found) => void (await apply(bumpsOf(found))),
        ),
    )
    if (rows > 0) {
      relayed(rows)
      logger.info({ cache: name, rows }, 'cache.drop.relayed')
    }
    return rows
  }

  async function once(untilMs: number): Promise<boolean> {
    return stepUntil(untilMs, async () => (await claim()) < LIMIT, clock)
  }

  const loop = createBackgroundLoop({
    async turn() {
      if (reachable()) await once(clock.monotonic() + log.pollMs)
      if (turns++ % LOOK_EVERY === 0) ({ oldestMs } = await log.backlog(name))
    },
    pauseMs: () => log.pollMs * (1 - JITTER * random()),
    failed: (error) => logger.warn({ err: error, cache: name }, 'a turn of the cache relay failed'),
    clock,
  })

  return {
    ...loop,
    once,
    get oldestMs() {
      return oldestMs
    },
  }
}

/** Rows of many scopes as one call of the store. */
export function bumpsOf(rows: readonly DropRow[]): Bumped[] {
  const tags = new Map<string, Set<string>>()
  for (const { scope, tag } of rows) tags.set(scope, (tags.get(scope) ?? new Set()).add(tag))
  return [...tags].map(([scope, of]) => ({ scope, tags: [...of] }))
}
