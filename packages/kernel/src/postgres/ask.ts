import { KernelError } from '../kernel-error.ts'
import type { Statement } from '../tx.ts'
import { answered, unanswered } from './connect-limit.ts'
import { driverOf, type KnownDatabase } from './driver.ts'

/** A connection that does not answer in this time is given up. */
const ANSWER_MS = 5_000
/** What pg says then: it has no code. */
const READ_TIMEOUT = 'Query read timeout'
/** Of a conflict: another transaction was faster. */
const TRIES = 3
const CONFLICTS = ['40001', '40P01']
/** The server knows the statement's name not, already, or as something else: a pooler between us, or DDL. */
const ABOUT_NAMES = ['26000', '42P05', '0A000']

/** Sends one statement as a transaction of its own, in one round trip, and answers its rows. */
export type Ask = <Row>(statement: Statement, answerMs?: number) => Promise<readonly Row[]>

/**
 * Asks for stores whose steps are one statement each. Statements go by name where the driver is pg, until a server has
 * once forgotten them: nothing else is kept in a session. Each may be sent again (a conflict, a forgotten name), since a
 * failed one has changed nothing. `answerMs` (5 s) is when a silent connection is given up.
 * @throws KernelError STORE_UNAVAILABLE then; else what the driver threw
 */
export function createAsk(target: KnownDatabase): Ask {
  let byName = true
  const driver = driverOf(target)
  const server = driver.kind === 'pg' ? driver.pool : driver.db
  return async <Row>({ text, values = [], name }: Statement, answerMs = ANSWER_MS): Promise<readonly Row[]> => {
    for (let tries = 1; ; tries++) {
      const named = byName && name !== undefined
      try {
        // pg alone takes an object, and gives up a connection whose `query_timeout` is over.
        const config = { text, values, query_timeout: answerMs, ...(named ? { name } : {}) }
        const sent = target.kind === 'pg' ? target.query(config as never) : target.query(text, values)
        const { rows } = await sent
        answered(server)
        return rows as Row[]
      } catch (error) {
        const { code = '', message } = error as { code?: string; message?: string }
        if (message === READ_TIMEOUT) {
          unanswered(server)
          throw new KernelError('STORE_UNAVAILABLE', `Postgres did not answer in ${answerMs} ms`, {
            cause: error,
            details: { reason: 'timeout' },
          })
        }
        if (named && ABOUT_NAMES.includes(code)) byName = false
        else if (tries >= TRIES || !CONFLICTS.includes(code)) throw error
      }
    }
  }
}
