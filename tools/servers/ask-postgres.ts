/** Is there a database? Asked with a real connection and query: an open port is not an answer. */
import { Client } from 'pg'

/** A loaded machine takes seconds to connect; a server that is not there refuses at once. */
const TRY_MS = 10_000

/** One try, bounded to 10 s a step: the first column of the first row, or a rejection. */
export async function askPostgres(url: string, query: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: TRY_MS, query_timeout: TRY_MS })
  client.on('error', () => {}) // also reported by the rejection below
  try {
    await client.connect()
    const { rows } = await client.query<unknown[]>({ text: query, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    // Not awaited: the server may be gone, and then nobody says when this has ended.
    client.end().catch(() => {})
  }
}
