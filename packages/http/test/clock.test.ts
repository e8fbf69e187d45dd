import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { startWorker } from '../../../tools/crash/worker-process.ts'
import { fakeClock } from '../../../tools/servers/fake-clock.ts'

const HOUR_S = 3_600

interface Node {
  readonly ranAtMs: number[]
  /** Resolves when its first handler has begun. */
  readonly begun: Promise<void>
  post(key: string): Promise<{ status: number; isReplayed: boolean; body: string }>
  /** Lets its handlers end. */
  go(): void
  kill(): Promise<void>
}

async function startNode(env: Record<string, string>): Promise<Node> {
  const worker = await startWorker<'where' | 'go', { url?: string; ranAtMs?: number }>(
    new URL('./clock-worker.ts', import.meta.url),
    env,
  )
  const ranAtMs: number[] = []
  const begun = Promise.withResolvers<void>()
  const url = await new Promise<string>((resolve) => {
    worker.onMessage((said) => {
      if (said.url !== undefined) resolve(said.url)
      if (said.ranAtMs === undefined) return
      ranAtMs.push(said.ranAtMs)
      begun.resolve()
    })
    worker.send('where')
  })
  return {
    ranAtMs,
    begun: begun.promise,
    async post(key) {
      const headers = { 'Idempotency-Key': key, 'Content-Type': 'application/json' }
      const answer = await fetch(`${url}/orders`, { method: 'POST', headers, body: '{}' })
      return {
        status: answer.status,
        isReplayed: answer.headers.has('idempotent-replayed'),
        body: await answer.text(),
      }
    },
    go: () => worker.send('go'),
    kill: () => worker.kill(),
  }
}

// The first one may have to install the library.
test.each(['ioredis 6', 'Postgres'])(
  'on %s, one key at two processes whose clocks are an hour apart is one run',
  { timeout: 300_000 },
  async (KIND) => {
    const SPACE = `clock_${randomBytes(6).toString('hex')}`
    const isPostgres = KIND === 'Postgres'
    const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
    if (isPostgres) await migrate(pool, [postgresStore(pool, { schema: SPACE })])
    const env = { KIND, SPACE, STORE_URL: isPostgres ? inject('databaseUrl') : inject('redisUrl') }
    const ahead = await fakeClock(HOUR_S)
    const [right, early] = await Promise.all([startNode(env), startNode({ ...env, ...ahead })])

    // Neither sees the other's lease as over ..
    const first = right.post('right')
    await right.begun
    const second = early.post('early')
    await early.begun
    const both = [first, second, early.post('right'), right.post('early')]
    right.go()
    early.go()
    const answers = await Promise.all(both)
    // .. nor the answer as forgotten.
    answers.push(await early.post('right'), await right.post('early'))

    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201))
    expect(answers.map(({ isReplayed }) => isReplayed)).toEqual([false, false, true, true, true, true])
    expect([right.ranAtMs.length, early.ranAtMs.length]).toEqual([1, 1])
    const apartS = (early.ranAtMs[0]! - right.ranAtMs[0]!) / 1_000
    expect(Math.abs(apartS - HOUR_S)).toBeLessThan(HOUR_S / 2)

    await Promise.all([right.kill(), early.kill()])
    if (isPostgres) await pool.query(`drop schema ${SPACE} cascade`)
    await pool.end()
  },
)
