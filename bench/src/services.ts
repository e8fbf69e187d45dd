/** Redis and a durable Postgres for the cases: the ones that are named, else private ones that end with the run. */
import { randomBytes } from 'node:crypto'
import { askPostgres } from '../../tools/servers/ask-postgres.ts'
import { askRedis } from '../../tools/servers/ask-redis.ts'
import { startPostgres } from '../../tools/servers/postgres.ts'
import { startRedis } from '../../tools/servers/redis.ts'

/** What decides how fast a commit is. */
const POSTGRES_SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
]

/** Started at the first question. */
export interface Services extends AsyncDisposable {
  /** `REDIS_URL`, else a private one: nothing on disk. */
  redisUrl(): Promise<string>
  /** `DATABASE_URL`, else a private one with the settings of a new installation: a commit survives the machine. */
  databaseUrl(): Promise<string>
  /** Names schemas and key prefixes that nobody else has: 'bench_1a2b3c'. */
  readonly id: string
  /** The servers of this run and their settings, a line each. */
  readonly lines: readonly string[]
}

/** Nothing is started yet. `tell` hears of each server as it is known. */
export function createServices(tell: (line: string) => void): Services {
  const started = new AsyncDisposableStack()
  const lines: string[] = []
  const say = (line: string): void => {
    lines.push(line)
    tell(line)
  }

  async function openRedis(): Promise<string> {
    const url = process.env['REDIS_URL'] || started.use(await startRedis()).url
    const info = String(await askRedis(url, 'INFO', 'server'))
    const settings = await Promise.all(['appendonly', 'save'].map((name) => askRedis(url, 'CONFIG', 'GET', name)))
    const shown = settings.map((pair) => (Array.isArray(pair) ? `${pair[0]}='${pair[1]}'` : ''))
    say(`Redis ${/redis_version:(\S+)/.exec(info)?.[1]}: ${shown.join(' ')}`)
    return url
  }

  async function openPostgres(): Promise<string> {
    const given = process.env['DATABASE_URL']
    const url = given || started.use(await startPostgres({ durable: true })).url
    const settings = await Promise.all(
      POSTGRES_SETTINGS.map(async (name) => [name, await askPostgres(url, `show ${name}`)] as const),
    )
    say(`Postgres: ${settings.map(([name, value]) => `${name}=${String(value)}`).join(' ')}`)
    const risky = settings.some(
      ([name, value]) => /^(fsync|synchronous_commit|full_page)/.test(name) && value === 'off',
    )
    if (risky) say('Postgres: NOT DURABLE, figures of commits are not those of production')
    return url
  }

  let redis: Promise<string> | undefined
  let postgres: Promise<string> | undefined
  return {
    redisUrl: () => (redis ??= openRedis()),
    databaseUrl: () => (postgres ??= openPostgres()),
    id: `bench_${randomBytes(3).toString('hex')}`,
    lines,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}
