/**
 * The real servers of the tests (vitest globalSetup), found or started in this order:
 *
 * 1. `DATABASE_URL`: the server it names.
 * 2. Postgres on PATH or in Debian's folders: a private one.
 * 3. Missing, but we are root on Debian: one announced installation, then as 2.
 * 4. Docker answers: compose.yaml.
 * 5. Else the run fails and names the ways out. Tests are never skipped: a skipped test reads like a passed one.
 *
 * Test files run in parallel on one server, each in a schema of its own. A test that kills or freezes a server starts
 * its own with `startPostgres`.
 */
import type { TestProject } from 'vitest/node'
import { askPostgres } from './servers/ask-postgres.ts'
import { dockerAnswers, startComposed } from './servers/compose.ts'
import { startPostgres } from './servers/postgres.ts'
import { findOrInstallPostgres } from './servers/postgres-programs.ts'

const SHARED_MAX_CONNECTIONS = 200

declare module 'vitest' {
  /** What tests get by `inject(name)`. */
  interface ProvidedContext {
    /** postgres://…, a superuser or at least the owner of its database. */
    databaseUrl: string
  }
}

interface Service {
  url: string
  stop: () => Promise<void>
}

/** Provides `databaseUrl`; the returned teardown stops what was started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const database = await openDatabase()
  project.provide('databaseUrl', database.url)
  return database.stop
}

async function openDatabase(): Promise<Service> {
  const given = process.env['DATABASE_URL']
  if (given) return await useDatabase(given)
  const programs = await findOrInstallPostgres()
  if (programs.kind === 'found') return await startPostgres({ maxConnections: SHARED_MAX_CONNECTIONS })
  if (await dockerAnswers()) {
    const composed = await startComposed()
    return { url: composed.databaseUrl, stop: composed.stop }
  }
  throw new Error(
    `The tests need Postgres (${programs.why}; Docker does not answer). Three ways out: install Postgres, ` +
      'start Docker, or set DATABASE_URL to a server whose database the tests may fill.',
  )
}

/** A server of the user's: ours to use, not to stop. */
async function useDatabase(url: string): Promise<Service> {
  await askPostgres(url, 'select 1').catch((cause: unknown) => {
    throw new Error('DATABASE_URL is set, but its server does not answer', { cause })
  })
  return { url, stop: async () => {} }
}
