import { database, type DatabaseLike } from '../postgres/index.ts'
import { isStoreFailure } from '../store-failure.ts'
import type { Database } from '../tx.ts'
import { faultsOf, suffer, type FaultPlan } from './fault-plan.ts'

/**
 * A Database whose calls go wrong by plan: each `query`, and of each transaction 'BEGIN', its queries, and 'COMMIT' when
 * its work has resolved; the text of a call is its SQL. A call that is refused, or whose reply is lost, takes the
 * connection of its transaction with it: what follows is refused, and nothing is committed. A COMMIT that hangs or is
 * refused does not happen; one whose reply is lost does. What goes over `raw` is not touched.
 * @param db A pg Pool, a PGlite or a Database.
 * @throws KernelError OPTION_INVALID for what is none of them.
 */
export function brokenDatabase(db: DatabaseLike, plan: FaultPlan): Database {
  const inner = database(db)
  const nextFault = faultsOf(plan)
  return {
    query: (...args) => suffer(nextFault(textOf(args)), () => inner.query(...args)),
    async transaction(work) {
      await suffer(nextFault('BEGIN'), async () => {})
      let lost: Error | undefined
      let fault: ReturnType<typeof nextFault>
      const value = await inner
        .transaction(async (tx) => {
          const value = await work({
            raw: tx.raw,
            async query(...args) {
              if (lost !== undefined) throw lost
              try {
                return await suffer(nextFault(textOf(args)), () => tx.query(...args))
              } catch (error) {
                if (isStoreFailure(error)) lost = error as Error
                throw error
              }
            },
          })
          if (lost !== undefined) throw lost
          fault = nextFault('COMMIT')
          // Thrown here, it is rolled back. Hanging here would keep a connection for ever.
          if (fault === 'refuse') await suffer(fault, async () => {})
          if (fault === 'hang') throw new NeverAnswered()
          return typeof fault === 'object' ? suffer(fault, async () => value) : value
        })
        .catch((error: unknown) => {
          if (error instanceof NeverAnswered) return new Promise<never>(() => {})
          throw error
        })
      return fault === 'lose reply' ? suffer(fault, async () => value) : value
    },
  }
}

class NeverAnswered extends Error {}

/** The SQL of a driver's arguments. */
function textOf([first]: readonly unknown[]): string {
  return typeof first === 'string' ? first : String((first as { text?: unknown } | undefined)?.text)
}
