/** A private Postgres for the shared tests, and one each for tests that freeze or kill it. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { askPostgres } from './ask-postgres.ts'
import { freePort } from './free-port.ts'
import { guardOrphans } from './orphan-guard.ts'
import { findOrInstallPostgres } from './postgres-programs.ts'
import { unpackCluster } from './postgres-template.ts'
import { startProcess, type ServerProcess } from './server-process.ts'
import { makeServerFolder, serverUser } from './server-user.ts'

const HOST = '127.0.0.1'
const PORT_TRIES = 5

/** All optional. */
export interface PostgresOptions {
  /** 100. */
  maxConnections?: number
  /** Keeps fsync on (false): a commit survives the machine. Without it a commit survives every kill of the server. */
  durable?: boolean
  /** Lines of postgresql.conf; they win over ours. */
  settings?: Record<string, string>
}

/** A running server with the superuser and database `postgres`, no password, on loopback. */
export interface PostgresServer extends AsyncDisposable {
  /** postgres://postgres@host:port/postgres */
  readonly url: string
  readonly host: string
  /** Stays the same over restarts. */
  readonly port: number
  /** Of the postmaster; changes with a restart. */
  readonly pid: number
  /** Stops every process of the server: connections stay open, new ones are accepted by the kernel, nobody answers. */
  freeze(): void
  thaw(): void
  /**
   * SIGKILL to every process of the server, sent before this returns; resolves when they are gone. The data folder
   * stays for `restart`.
   */
  kill(): Promise<void>
  /** Starts again on the same port and data folder, after a fast shutdown if the server still runs. */
  restart(): Promise<void>
  /** Ends the server and removes its folder. Repeatable. */
  stop(): Promise<void>
}

/** Starts a new, empty server in a temp folder. Throws when Postgres is missing or does not start. */
export async function startPostgres(o: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = await findOrInstallPostgres()
  if (programs.kind === 'missing')
    throw new Error(`this test starts its own Postgres, which is missing: ${programs.why}`)
  const user = serverUser()
  const folder = await makeServerFolder('keelson-postgres-', user)
  const guard = guardOrphans(folder)

  const start = (port: number): Promise<ServerProcess> =>
    startProcess({
      name: 'postgres',
      command: join(programs.folder, 'postgres'),
      args: ['-D', join(folder, 'data'), ...settingArgs(port, o)],
      user,
      folder,
      guard,
      answers: async () => {
        // Another process's server may have won our port, and answers well.
        const answer = await askPostgres(urlOf(port), 'show data_directory')
        if (answer !== join(folder, 'data')) throw new Error(`port ${port} belongs to the server in ${String(answer)}`)
      },
    })
  const clean = async (): Promise<void> => {
    guard.dismiss()
    await rm(folder, { recursive: true, force: true })
  }

  let port = 0
  let server: ServerProcess
  try {
    await unpackCluster(programs.folder, user, folder)
    ;[port, server] = await onFreePort(start)
  } catch (error) {
    await clean()
    throw error
  }

  const stop = async (): Promise<void> => {
    await server.end('SIGINT') // fast shutdown
    await clean()
  }
  return {
    url: urlOf(port),
    host: HOST,
    port,
    get pid() {
      return server.pid
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    kill: () => server.kill(),
    restart: async () => {
      await server.end('SIGINT')
      server = await start(port)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

const urlOf = (port: number): string => `postgres://postgres@${HOST}:${port}/postgres`

function settingArgs(port: number, o: PostgresOptions): string[] {
  const settings = {
    listen_addresses: HOST,
    port: String(port),
    unix_socket_directories: '',
    max_connections: String(o.maxConnections ?? 100),
    // In the data folder, so that it goes with it after a kill; and a container's /dev/shm is small.
    dynamic_shared_memory_type: 'mmap',
    // Only fsync: without synchronous_commit or full_page_writes a killed server could lose what it had promised.
    fsync: o.durable === true ? 'on' : 'off',
    ...o.settings,
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Between the look and the start another process may take the port. */
async function onFreePort(start: (port: number) => Promise<ServerProcess>): Promise<[number, ServerProcess]> {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    try {
      return [port, await start(port)]
    } catch (error) {
      if (tries === PORT_TRIES || !String(error).includes('Address already in use')) throw error
    }
  }
}
