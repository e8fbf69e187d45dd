import { CacheError } from './error.ts'

/**
 * What stands between this node and the shared tier: after an outage it must not read before all that was dropped
 * meanwhile is applied, by itself or out of the log.
 */
export interface Gate {
  /** True when nothing is owed. */
  readonly open: boolean
  /** The connection, the lease or the guard was lost: others may have dropped what we did not hear of. */
  shut(): void
  /** Pays and drains. Rejects when that cannot be done now: the store counts as away. */
  pass(): Promise<void>
}

export function createGate(o: {
  /** Whether there is any hope: without, nothing is tried. */
  readonly reachable: () => boolean
  readonly owes: () => boolean
  pay(): Promise<void>
  settle(): Promise<unknown>
}): Gate {
  let shuts = 0
  let settled = 0
  let passing: Promise<void> | undefined

  async function run(): Promise<void> {
    const upTo = shuts
    if (settled < upTo) await o.settle()
    settled = Math.max(settled, upTo)
    if (o.owes()) await o.pay()
  }

  const gate: Gate = {
    get open() {
      return settled === shuts && !o.owes()
    },
    shut() {
      shuts++
    },
    async pass() {
      while (!gate.open) {
        if (!o.reachable()) throw new CacheError('STORE_UNAVAILABLE', 'what is owed cannot be paid now')
        passing ??= run().finally(() => (passing = undefined))
        await passing
      }
    },
  }
  return gate
}
