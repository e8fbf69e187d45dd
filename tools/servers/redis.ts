/** A private Redis for the shared tests, and one each for tests that freeze or kill it. */
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askRedis } from './ask-redis.ts'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

const SETTINGS_FILE = 'redis.conf'

/** All optional. */
export interface RedisOptions {
  /**
   * Lines of redis.conf; they win over ours. By default nothing is stored. With `appendonly: 'yes'` what was answered
   * survives every kill: it is written before its answer leaves. By Redis's own default it waits behind a slow fsync.
   */
  settings?: Record<string, string>
  /** Further arguments of the program. */
  args?: readonly string[]
  /** Variables of its environment, besides ours. */
  env?: Record<string, string>
}

/** A running server without a password: redis://host:port */
export type RedisServer = PrivateServer

/** Starts a new, empty server in a temp folder. Throws when Redis is missing or does not start. */
export async function startRedis(o: RedisOptions = {}): Promise<RedisServer> {
  const programs = await demandProgram('Redis', findOrInstallRedis)
  return await startPrivateServer({
    name: 'redis',
    command: 'env',
    args: (folder) => [
      ...Object.entries(o.env ?? {}).map(([name, value]) => `${name}=${value}`),
      join(programs, 'redis-server'),
      join(folder, SETTINGS_FILE),
      ...(o.args ?? []),
    ],
    url: (port) => `redis://${HOST}:${port}`,
    answers: async (url, folder) => {
      const info = String(await askRedis(url, 'INFO'))
      if (!info.includes(`config_file:${join(folder, SETTINGS_FILE)}\r\n`)) {
        throw new Error('the port belongs to another server')
      }
      if (info.includes('\r\nloading:1\r\n')) throw new Error('it still loads what an earlier life kept')
    },
    endSignal: 'SIGTERM',
    // A file, not arguments: Redis writes there what it becomes (Sentinel's work), so that a restart knows it.
    prepare: async (folder, port, user) => {
      const file = join(folder, SETTINGS_FILE)
      await writeFile(file, settingLines(port, o))
      if ('uid' in user) await chown(file, user.uid, user.gid)
    },
  })
}

/** Stops one of several: in an orderly end a master waits for its replicas, which may be gone. */
export async function stopAtOnce(server: RedisServer): Promise<void> {
  await server.kill()
  await server.stop()
}

/** The folder of `redis-server`: looks on PATH; installs where that is allowed. */
export async function findOrInstallRedis(): Promise<Found> {
  const find = (): string | undefined => folderWith(foldersOnPath(), 'redis-server')
  return await findOrInstall({ find, debianPackage: 'redis-server' })
}

function settingLines(port: number, o: RedisOptions): string {
  const settings = { bind: HOST, port: String(port), save: '', appendonly: 'no', appendfsync: 'no', ...o.settings }
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value || '""'}\n`)
    .join('')
}
