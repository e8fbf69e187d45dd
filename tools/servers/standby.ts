/** A failover as clients see it: what they reach under the same address is a standby for a time. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askPostgres } from './ask-postgres.ts'
import type { PostgresServer } from './postgres.ts'
import { until } from './until.ts'

const PATIENCE_MS = 60_000

/** Starts a server again as a standby: it reads, and refuses to write. It has no primary, so it waits for ever. */
export async function becomeStandby(server: PostgresServer): Promise<void> {
  const folder = (await askPostgres(server.url, 'show data_directory')) as string
  await writeFile(join(folder, 'standby.signal'), '')
  await server.restart()
}

/** Makes it a primary; connections stay open. */
export async function promote(server: PostgresServer): Promise<void> {
  await askPostgres(server.url, 'select pg_promote(false)')
  await until('the server is a primary', PATIENCE_MS, async () =>
    (await askPostgres(server.url, 'select pg_is_in_recovery()')) === false ? true : undefined,
  )
}
