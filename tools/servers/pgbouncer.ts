/** A private pgbouncer in transaction mode: what works through it keeps no state in its session. */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { askPostgres } from './ask-postgres.ts'
import { canInstallDebianPackages, installDebianPackage } from './debian-package.ts'
import { freePort } from './free-port.ts'
import { guardOrphans } from './orphan-guard.ts'
import { startProcess } from './server-process.ts'
import { makeServerFolder, serverUser } from './server-user.ts'

const HOST = '127.0.0.1'
/** Server connections for all clients together: small, so that clients do share them. */
const POOL_SIZE = 4
const MAX_CLIENTS = 200

/** The database behind it. */
export interface PgbouncerTarget {
  host: string
  port: number
  user: string
  database: string
}

/** A running pgbouncer: no password, whatever user name. */
export interface Pgbouncer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Drops all connections and removes its folder. Repeatable. */
  stop(): Promise<void>
}

/** Starts pgbouncer with at most 4 connections to `postgres`. Installs it on Debian as root; else throws if missing. */
export async function startPgbouncer(postgres: PgbouncerTarget): Promise<Pgbouncer> {
  const command = await findOrInstallPgbouncer()
  const port = await freePort()
  const url = `postgres://${postgres.user}@${HOST}:${port}/${postgres.database}`
  const user = serverUser()
  const folder = await makeServerFolder('keelson-pgbouncer-', user)
  const guard = guardOrphans(folder)
  const clean = async (): Promise<void> => {
    guard.dismiss()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const settings = join(folder, 'pgbouncer.ini')
    await writeFile(settings, settingsOf(postgres, port))
    const answers = (): Promise<unknown> => askPostgres(url, 'select 1')
    const server = await startProcess({ name: 'pgbouncer', command, args: [settings], user, folder, guard, answers })
    const stop = async (): Promise<void> => {
      await server.kill() // it has no state, and what a gentler signal means differs between its versions
      await clean()
    }
    return { url, host: HOST, port, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await clean()
    throw error
  }
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

async function findOrInstallPgbouncer(): Promise<string> {
  const found = findPgbouncer()
  if (found !== undefined) return found
  if (canInstallDebianPackages()) await installDebianPackage('pgbouncer')
  const installed = findPgbouncer()
  if (installed === undefined) {
    throw new Error('this test needs pgbouncer: put it on PATH, or run the tests as root on Debian, which installs it')
  }
  return installed
}

/** Debian's folder for servers is not on everybody's PATH. */
function findPgbouncer(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...folders, '/usr/sbin'].map((folder) => join(folder, 'pgbouncer')).find((file) => existsSync(file))
}
