import { askPostgres } from '../servers/ask-postgres.ts'
import { askRedis } from '../servers/ask-redis.ts'
import { until } from '../servers/until.ts'

/** Where the tests' servers are; what a scenario does not use may be missing. */
export interface ServerUrls {
  readonly databaseUrl?: string
  readonly redisUrl?: string
}

/** The same servers, through URLs that name the connections made with them. */
export function namedUrls({ databaseUrl, redisUrl }: ServerUrls, name: string): Required<ServerUrls> {
  return {
    databaseUrl: databaseUrl === undefined ? '' : withQuery(databaseUrl, 'application_name', name),
    redisUrl: redisUrl === undefined ? '' : withQuery(redisUrl, 'connectionName', name),
  }
}

const LONGEST_MS = 60_000

/** A server notices a dead client by its socket, and may still be committing for it: waits until it is not. */
export async function sessionsEnded({ databaseUrl, redisUrl }: ServerUrls, name: string): Promise<void> {
  if (databaseUrl !== undefined) {
    const open = `select count(*)::int from pg_stat_activity where application_name = '${name}'`
    await until(`the end of ${name} in Postgres`, LONGEST_MS, async () =>
      (await askPostgres(databaseUrl, open)) === 0 ? true : undefined,
    )
  }
  if (redisUrl !== undefined) {
    await until(`the end of ${name} in Redis`, LONGEST_MS, async () =>
      String(await askRedis(redisUrl, 'CLIENT', 'LIST')).includes(` name=${name} `) ? undefined : true,
    )
  }
}

function withQuery(url: string, parameter: string, value: string): string {
  const named = new URL(url)
  named.searchParams.set(parameter, value)
  return named.href
}
