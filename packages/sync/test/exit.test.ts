import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, inject, test } from 'vitest'
import { openPostgres } from './postgres/open-postgres.ts'

/** Runs `code` with a `sync` and a caller in a process of its own; answers what it printed when it has ended by itself. */
async function ended(store: string, code: string): Promise<string> {
  const script = `
    import { createSync, memoryStore } from '@keelson/sync'
    import { postgresStore } from '@keelson/sync/postgres'
    import pg from 'pg'
    const task = { fields: { title: 'lww' }, scope: () => 's' }
    ${store}
    const sync = createSync({ store, scopes: () => ['s'], collections: { task }, storeTimeout: '30s' })
    const who = { principal: { id: 'u' } }
    const h = Date.now().toString(36).padStart(9, '0') + '-0000-d'
    const push = () => sync.push(who, { v: 1, client: 'd', ops: [{ op: 'o', c: 'task', id: 't', t: 'put', h, set: {} }] })
    ${code}`
  const args = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
  const [out, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  expect(status).toBe(0)
  return out.trim()
}

const memory = 'const store = memoryStore()'
/** A pull that waits, for longer than anybody looks on. */
const waiting = `await push()
  const { cursor } = await sync.pull(who, { v: 1, cursor: null })
  const held = sync.pull(who, { v: 1, cursor, waitMs: 25_000 }).then(() => console.log('answered'))
  while ((await sync.inspect()).counts.waiters === 0);`

test('a process ends by itself: without start, after stop, after close, and pulls that wait are answered', async () => {
  expect(await ended(memory, `console.log((await push()).results[0].status)`)).toBe('applied')
  expect(await ended(memory, `await sync.start(); await push(); await sync.stop(); console.log('stopped')`)).toBe(
    'stopped',
  )
  expect(await ended(memory, `await sync.start(); console.log('started')`)).toBe('started')
  expect(await ended(memory, `${waiting}; await sync.start(); await sync.close(); await held`)).toBe('answered')
})

test('on Postgres a process ends by itself once its pool has', async () => {
  await using opened = await openPostgres(undefined, { max: 2 })
  const store = `const pool = new pg.Pool({ connectionString: ${JSON.stringify(inject('databaseUrl'))} })
    const store = postgresStore(pool, { schema: '${opened.schema}', storeTimeout: '30s' })`
  const code = `await sync.start(); ${waiting}; await sync.close(); await held; await pool.end()`
  expect(await ended(store, code)).toBe('answered')
})
