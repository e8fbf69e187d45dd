/**
 * The real servers of the tests (vitest globalSetup), Postgres and Redis, each found or started in this order:
 *
 * 1. `DATABASE_URL`, `REDIS_URL`: the server it names.
 * 2. The program on PATH, Postgres in Debian's folders too: a private server.
 * 3. Missing, but we are root on Debian: one announced installation, then as 2.
 * 4. Docker answers: compose.yaml.
 * 5. Else the run fails and names the ways out. Tests are never skipped: a skipped test reads like a passed one.
 *
 * Test files run in parallel on one server, each with a schema and a key prefix of its own. A test that kills or
 * freezes a server starts its own with `startPostgres` or `startRedis`.
 */
import type { TestProject } from 'vitest/node'
import { askPostgres } from './servers/ask-postgres.ts'
import { askRedis } from './servers/ask-redis.ts'
import { dockerAnswers, startComposed, type ServiceName } from './servers/compose.ts'
import type { Found } from './servers/find-program.ts'
import { makePgliteTemplate } from './servers/pglite-template.ts'
import { findOrInstallPostgres } from './servers/postgres-programs.ts'
import { startPostgres } from './servers/postgres.ts'
import type { PrivateServer } from './servers/private-server.ts'
import { findOrInstallRedis, startRedis } from './servers/redis.ts'
import { settled } from './servers/settled.ts'

const SHARED_MAX_CONNECTIONS = 200

declare module 'vitest' {
  /** What tests get by `inject(name)`. */
  interface ProvidedContext {
    /** postgres://…, a superuser or at least the owner of its database. */
    databaseUrl: string
    /** redis://…, a server whose keys the tests may fill, but not flush. */
    redisUrl: string
  }
}

/** A server that the tests need. */
interface Need {
  title: string
  variable: string
  provides: 'databaseUrl' | 'redisUrl'
  composed: ServiceName
  ask: (url: string) => Promise<unknown>
  find: () => Promise<Found>
  start: () => Promise<PrivateServer>
}

const NEEDS: readonly Need[] = [
  {
    title: 'Postgres',
    variable: 'DATABASE_URL',
    provides: 'databaseUrl',
    composed: 'postgres',
    ask: (url) => askPostgres(url, 'select 1'),
    find: findOrInstallPostgres,
    start: () => startPostgres({ maxConnections: SHARED_MAX_CONNECTIONS }),
  },
  {
    title: 'Redis',
    variable: 'REDIS_URL',
    provides: 'redisUrl',
    composed: 'redis',
    ask: (url) => askRedis(url, 'PING'),
    find: findOrInstallRedis,
    start: startRedis,
  },
]

type Opened = { kind: 'open'; need: Need; url: string } | { kind: 'missing'; need: Need; why: string }

/** Provides `databaseUrl` and `redisUrl`; the returned teardown stops what was started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using started = new AsyncDisposableStack() // stops them when one fails
  const [opened, template] = await Promise.all([
    settled(NEEDS.map((need) => open(need, started))),
    makePgliteTemplate(),
  ])
  // See tools/servers/pglite.ts.
  process.env['PGLITE_TEMPLATE'] = template
  const missing = opened.filter((each) => each.kind === 'missing')
  const composed = missing.length === 0 ? [] : await compose(missing, started)
  for (const { need, url } of [...opened.filter((each) => each.kind === 'open'), ...composed]) {
    project.provide(need.provides, url)
  }
  const teardown = started.move()
  return () => teardown.disposeAsync()
}

/** Ways 1 to 3. */
async function open(need: Need, started: AsyncDisposableStack): Promise<Opened> {
  const given = process.env[need.variable]
  if (given) {
    // The user's server: ours to use, not to stop.
    await need.ask(given).catch((cause: unknown) => {
      throw new Error(`${need.variable} is set, but its server does not answer`, { cause })
    })
    return { kind: 'open', need, url: given }
  }
  const found = await need.find()
  if (found.kind === 'missing') return { ...found, need }
  const { url } = started.use(await need.start())
  return { kind: 'open', need, url }
}

/** Way 4, for all that is missing. */
async function compose(
  missing: readonly Extract<Opened, { kind: 'missing' }>[],
  started: AsyncDisposableStack,
): Promise<{ need: Need; url: string }[]> {
  if (!(await dockerAnswers())) {
    const list = (text: (each: (typeof missing)[number]) => string): string => missing.map(text).join(' and ')
    throw new Error(
      `The tests need ${list(({ need, why }) => `${need.title} (${why})`)}; Docker does not answer. Three ways out: ` +
        `install ${list(({ need }) => need.title)}, start Docker, or set ${list(({ need }) => need.variable)} to a ` +
        'server that the tests may fill.',
    )
  }
  const { urls, stop } = await startComposed(missing.map(({ need }) => need.composed))
  started.defer(stop)
  return missing.map(({ need }, index) => ({ need, url: urls[index]! }))
}
