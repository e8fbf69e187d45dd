import type { Statement } from '@keelson/kernel'
import type { KnownDatabase } from '@keelson/kernel/postgres'

/** A connection that does not answer in this time is given up. The limiter's own limit is shorter. */
const ANSWER_MS = 5_000
/** Of a conflict: another transaction was faster. */
const TRIES = 3
const CONFLICTS = ['40001', '40P01']
/** The server knows the statement's name not, already, or as something else: a pooler between us, or DDL. */
const ABOUT_NAMES = ['26000', '42P05', '0A000']

/** Sends one statement as a transaction of its own, in one round trip, and answers its rows. */
export type Ask = <Row>(statement: Statement) => Promise<readonly Row[]>

/**
 * Statements go by name where the driver is pg, until a server has once forgotten them: nothing else is kept in a
 * session. Each may be repeated, since a failed one has changed nothing.
 */
export function createAsk(target: KnownDatabase): Ask {
  let byName = true
  return async <Row>({ text, values = [], name }: Statement): Promise<readonly Row[]> => {
    for (let tries = 1; ; tries++) {
      const named = byName && name !== undefined
      try {
        // pg alone takes an object, and gives up a connection whose `query_timeout` is over.
        const config = { text, values, query_timeout: ANSWER_MS, ...(named ? { name } : {}) }
        const sent = target.kind === 'pg' ? target.query(config as never) : target.query(text, values)
        return (await sent).rows as Row[]
      } catch (error) {
        const { code = '' } = error as { code?: string }
        if (named && ABOUT_NAMES.includes(code)) byName = false
        else if (tries >= TRIES || !CONFLICTS.includes(code)) throw error
      }
    }
  }
}
