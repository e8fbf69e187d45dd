import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import type { SyncClient } from '@keelson/sync/client'
import { postgresStore } from '@keelson/sync/postgres'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import { freePort } from '../../../../tools/servers/free-port.ts'
import { until } from '../../../../tools/servers/until.ts'
import { openDevice, shown, tasks } from './open-device.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 200 : 8
const PATIENCE_MS = 120_000

interface Place {
  readonly port: number
  start(): Promise<WorkerProcess<never, never>>
  /** Operations that `apply` was given, each as often as it was. */
  wins(): Promise<string[]>
}

async function openPlace(): Promise<Place> {
  const databaseUrl = inject('databaseUrl')
  const schema = `sync_${randomBytes(6).toString('hex')}`
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 })
  await migrate(pool, [postgresStore(pool, { schema })])
  await pool.query(`create table ${schema}.win (op text not null)`)
  const port = await freePort()
  let server: WorkerProcess<never, never> | undefined
  onTestFinished(async () => {
    await server?.kill()
    await pool.query(`drop schema ${schema} cascade`)
    await pool.end()
  })
  return {
    port,
    start: async () =>
      (server = await startWorker(new URL('./server-worker.ts', import.meta.url), {
        DATABASE_URL: databaseUrl,
        SCHEMA: schema,
        PORT: String(port),
      })),
    wins: async () => (await pool.query<{ op: string }>(`select op from ${schema}.win`)).rows.map(({ op }) => op),
  }
}

const nothingPending = (client: SyncClient): Promise<boolean> =>
  until('nothing is pending', PATIENCE_MS, async () => client.pending().count === 0 || undefined)

test(
  `a server that is killed in the middle of a push: nothing is lost, nothing counts twice, ${KILLS} times`,
  async () => {
    const place = await openPlace()
    let pushing = Promise.withResolvers<void>()
    const a = openDevice(place.port, {
      retry: { min: 5, max: 50 },
      fetch: (url, init) => {
        if (typeof url === 'string' && url.endsWith('/push')) pushing.resolve()
        return fetch(url, init)
      },
    })
    onTestFinished(() => a.close())
    await a.start()
    const ops: string[] = []
    const results: Promise<unknown>[] = []
    let server = await place.start()
    for (let kill = 0; kill < KILLS; kill++) {
      pushing = Promise.withResolvers()
      for (let i = 0; i < 20; i++) {
        const { op, settled } = await tasks(a).put(`t${(kill + i) % 7}`, { title: `${kill}.${i}` })
        ops.push(op)
        results.push(settled)
      }
      await pushing.promise
      // At another step of it each time.
      await new Promise((resolve) => setTimeout(resolve, kill % 25))
      await server.kill()
      await tasks(a)
        .patch('t0', { done: kill % 2 === 0 })
        .then(({ op }) => ops.push(op))
      // It joins a round that is under way, whose answers may all have been on their way: then the next one hears of it.
      await expect(a.sync().then(() => a.sync())).rejects.toMatchObject({ code: 'OFFLINE' })
      expect(a.status().state).toBe('offline')
      server = await place.start()
    }
    await nothingPending(a)
    for (const result of await Promise.all(results)) expect(result).toMatchObject({ status: 'applied' })
    expect(a.issues()).toEqual([])
    expect((await place.wins()).toSorted()).toEqual(ops.toSorted())
    const b = openDevice(place.port)
    onTestFinished(() => b.close())
    await b.sync()
    expect(await shown(b)).toBe(await shown(a))
  },
  LONG ? 3_600_000 : 900_000,
)

test('a server that is frozen: offline, edits go on, and count once when it goes on', async () => {
  const place = await openPlace()
  const server = await place.start()
  // Patience is the application's to have less of: here, while the server is frozen.
  let patienceMs = PATIENCE_MS
  const a = openDevice(place.port, {
    retry: { min: 5, max: 50 },
    fetch: (url, init) =>
      fetch(url, { ...init!, signal: AbortSignal.any([init!.signal!, AbortSignal.timeout(patienceMs)]) }),
  })
  onTestFinished(() => a.close())
  await tasks(a).put('t1', { title: 'before' })
  await a.sync()
  const states = new Set<string>()
  a.on('status', ({ state }) => states.add(state))
  process.kill(server.pid, 'SIGSTOP')
  patienceMs = 1_000
  await a.start()
  const refs = []
  for (let i = 0; i < 5; i++) refs.push(await tasks(a).patch('t1', { title: `${i}` }))
  // Between two tries, and perhaps for a moment only.
  await until('it is offline', PATIENCE_MS, async () => states.has('offline') || undefined)
  expect(a.pending().count).toBe(5)
  expect(await tasks(a).get('t1')).toEqual({ title: '4' })
  patienceMs = PATIENCE_MS
  process.kill(server.pid, 'SIGCONT')
  patienceMs = PATIENCE_MS
  await nothingPending(a)
  for (const { settled } of refs) expect(await settled).toMatchObject({ status: 'applied' })
  expect(await place.wins()).toHaveLength(6)
})
