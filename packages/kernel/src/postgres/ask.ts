import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import { isStoreFailure } from '../store-failure.ts'
import type { Statement } from '../tx.ts'
import { answered, unanswered } from './connect-limit.ts'
import { driverOf, type KnownDatabase } from './driver.ts'
import { unit } from './unit.ts'

/** A connection that does not answer in this time is given up. */
const ANSWER_MS = 5_000
/** What pg says then: it has no code. */
const READ_TIMEOUT = 'Query read timeout'
const TRIES = 3
const SERIALIZATION_FAILURE = '40001'
/** Another transaction was faster, or the session had idled too long when the statement came. */
const AGAIN = [SERIALIZATION_FAILURE, '40P01', '57P05']
/** The server knows the statement's name not, already, or as something else: a pooler between us, or DDL. */
const ABOUT_NAMES = ['26000', '42P05', '0A000']

/** Sends one statement as a transaction of its own, in one round trip, and answers its rows. */
export type Ask = <Row>(statement: Statement, answerMs?: number) => Promise<readonly Row[]>

/**
 * Asks for stores whose steps are one statement each. Statements go by name where the driver is pg, until a server has
 * once forgotten them: nothing else is kept in a session. Each may be sent again (a conflict, a forgotten name), since a
 * failed one has changed nothing. READ COMMITTED is what they are made for: what waited for a lock goes on with what was
 * committed meanwhile. Where the default is another one that fails, and from then on they say so, in two round trips.
 * `answerMs` (5 s) is when a silent connection is given up.
 * @throws KernelError STORE_UNAVAILABLE then; else what the driver threw
 */
export function createAsk(target: KnownDatabase): Ask {
  let byName = true
  let isolates = false
  const driver = driverOf(target)
  const server = driver.kind === 'pg' ? driver.pool : driver.db
  return async <Row>(statement: Statement, answerMs = ANSWER_MS): Promise<readonly Row[]> => {
    const { text, values = [], name } = statement
    for (let tries = 1; ; tries++) {
      const named = byName && name !== undefined
      try {
        if (isolates) return (await askCommitted(target, statement, answerMs)) as Row[]
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
        if (isStoreFailure(error)) throw error
        if (named && ABOUT_NAMES.includes(code)) byName = false
        else if (tries >= TRIES || !AGAIN.includes(code)) throw error
        if (code === SERIALIZATION_FAILURE) isolates = true
      }
    }
  }
}

async function askCommitted(target: KnownDatabase, statement: Statement, answerMs: number): Promise<unknown[]> {
  try {
    return await unit<unknown[]>(target, {
      open: [statement],
      isolation: 'read committed',
      openTimeout: answerMs,
      stall: answerMs,
      work: async (_, [answer]) => ({ end: 'commit', statements: [], value: answer!.rows }),
    })
  } catch (error) {
    // As of a statement alone: whether it has happened is a question of its own for whoever asks.
    throw isKeelsonError(error, 'COMMIT_UNKNOWN') ? error.cause : error
  }
}
