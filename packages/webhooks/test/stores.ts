import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '@keelson/webhooks'
import type { StoreUnderTest } from '@keelson/webhooks/conformance'
import { postgresStore } from '@keelson/webhooks/postgres'
import { emptied, openPglite, openPostgres, type OpenStore } from './postgres/open-postgres.ts'

/** What is to be closed when a test file is through with them. */
export const onTestsEnd: (() => Promise<void>)[] = []

/** Every store that this package has, as the suite wants them: empty for each case. Clients of Redis: see ./redis. */
export const stores: Record<string, Subject<StoreUnderTest>> = {
  memory: { make: async () => ({ store: memoryStore(), async dispose() {} }) },
  'memory, in virtual time': {
    has: ['elapse'],
    async make() {
      const clock = virtualClock()
      return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  },
  Postgres: onPostgres(openPostgres),
  'Postgres, in virtual time': onPostgres(openPostgres, true),
  'PGlite, in virtual time': onPostgres(openPglite, true),
}

/** One schema for all cases: it is emptied for each. */
function onPostgres(open: () => Promise<OpenStore>, timed = false): Subject<StoreUnderTest> {
  let opening: Promise<OpenStore> | undefined
  let nowMs = 1_700_000_000_000
  onTestsEnd.push(async () => (await opening)?.[Symbol.asyncDispose]())
  return {
    ...(timed ? { has: ['elapse'] } : {}),
    async make() {
      const opened = await (opening ??= open())
      await emptied(opened)
      if (timed) await opened.at(nowMs)
      const { db, schema, listen, store } = opened
      const peer = listen === undefined ? undefined : postgresStore(db, { schema, listen })
      return {
        store,
        ...(peer === undefined ? {} : { peer }),
        ...(timed ? { elapse: (ms: number) => opened.at((nowMs += ms)) } : {}),
        dispose: async () => peer?.close(),
      }
    },
  }
}
