import type pg from 'pg'
import type { Database } from '../../src/index.ts'

/** What an application writes around its own driver: naive, and right. */
export function byHand(pool: pg.Pool): Database {
  return {
    query: (text, values) => pool.query(text, values as unknown[]),
    async transaction(work) {
      const client = await pool.connect()
      let broken: Error | undefined
      client.on('error', (error) => (broken = error))
      try {
        await client.query('begin')
        const value = await work({ raw: client, query: (text, values) => client.query(text, values as unknown[]) })
        await client.query('commit')
        return value
      } catch (error) {
        await client.query('rollback').catch((failed: Error) => (broken = failed))
        throw error
      } finally {
        client.removeAllListeners('error')
        client.release(broken)
      }
    },
  }
}
