/** A private pgbouncer in transaction mode: what works through it keeps no state in its session. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askPostgres } from './ask-postgres.ts'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

/** Server connections for all clients together: small, so that clients do share them. */
const POOL_SIZE = 4
const MAX_CLIENTS = 200
const SETTINGS_FILE = 'pgbouncer.ini'

/** The database behind it. */
export interface PgbouncerTarget {
  host: string
  port: number
  user: string
  database: string
}

/** A running pgbouncer: no password, whatever user name. */
export type Pgbouncer = PrivateServer

/** Starts pgbouncer with at most 4 connections to `postgres`. Installs it on Debian as root; else throws if missing. */
export async function startPgbouncer(postgres: PgbouncerTarget): Promise<Pgbouncer> {
  const programs = await demandProgram('pgbouncer', findOrInstallPgbouncer)
  return await startPrivateServer({
    name: 'pgbouncer',
    command: join(programs, 'pgbouncer'),
    args: (folder) => [join(folder, SETTINGS_FILE)],
    url: (port) => `postgres://${postgres.user}@${HOST}:${port}/${postgres.database}`,
    answers: (url) => askPostgres(url, 'select 1'),
    endSignal: 'SIGKILL', // it has no state, and what a gentler signal means differs between its versions
    prepare: (folder, port) => writeFile(join(folder, SETTINGS_FILE), settingsOf(postgres, port)),
  })
}

function settingsOf(postgres: PgbouncerTarget, port: number): string {
  return `[databases]
* = host=${postgres.host} port=${postgres.port} user=${postgres.user}

[pgbouncer]
listen_addr = ${HOST}
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${POOL_SIZE}
max_client_conn = ${MAX_CLIENTS}
ignore_startup_parameters = extra_float_digits
`
}

/** Debian's folder for servers is not on everybody's PATH. */
async function findOrInstallPgbouncer(): Promise<Found> {
  const find = (): string | undefined => folderWith([...foldersOnPath(), '/usr/sbin'], 'pgbouncer')
  return await findOrInstall({ find, debianPackage: 'pgbouncer' })
}
