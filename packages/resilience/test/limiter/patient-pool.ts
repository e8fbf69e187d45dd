import pg from 'pg'

/** Longer than any test holds an answer back. */
const ANSWER_MS = 120_000

/** Waits for an answer longer than its caller asks it to. */
class PatientClient extends pg.Client {
  override query(...args: never): never {
    const [config] = args as [{ query_timeout?: number } | undefined]
    if (config?.query_timeout !== undefined) config.query_timeout = ANSWER_MS
    return super.query(...(args as Parameters<pg.Client['query']>)) as never
  }
}

/**
 * A pool that gives up no answer that comes late. The store gives a silent connection up after 5 s: what was counted
 * behind it stays counted, and that can be soon for a test on a busy machine.
 */
export function patientPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ ...config, Client: PatientClient })
  pool.on('error', () => {})
  return pool
}
