/** A private Postgres for the shared tests, and one each for tests that freeze or kill it. */
import { join } from 'node:path'
import { askPostgres } from './ask-postgres.ts'
import { demandProgram } from './find-program.ts'
import { findOrInstallPostgres } from './postgres-programs.ts'
import { unpackCluster } from './postgres-template.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

/** All optional. */
export interface PostgresOptions {
  /** 100. */
  maxConnections?: number
  /** Keeps fsync on (false): a commit survives the machine. Without it a commit survives every kill of the server. */
  durable?: boolean
  /** Lines of postgresql.conf; they win over ours. */
  settings?: Record<string, string>
}

/** A running server with the superuser and database `postgres`, no password: postgres://postgres@host:port/postgres */
export type PostgresServer = PrivateServer

/** Starts a new, empty server in a temp folder. Throws when Postgres is missing or does not start. */
export async function startPostgres(o: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = await demandProgram('Postgres', findOrInstallPostgres)
  return await startPrivateServer({
    name: 'postgres',
    command: join(programs, 'postgres'),
    args: (folder, port) => ['-D', join(folder, 'data'), ...settingArgs(port, o)],
    url: (port) => `postgres://postgres@${HOST}:${port}/postgres`,
    answers: async (url, folder) => {
      const answer = await askPostgres(url, 'show data_directory')
      if (answer !== join(folder, 'data')) throw new Error(`the port belongs to the server in ${String(answer)}`)
    },
    endSignal: 'SIGINT', // fast shutdown
    prepare: (folder, _port, user) => unpackCluster(programs, user, folder),
  })
}

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
