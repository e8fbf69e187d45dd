import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { StoreKind } from './open-store.ts'
import { startRunProcess, type RunProcess } from './run-process.ts'
import { startStand, type Stand } from './stand.ts'

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6', 'Postgres']
const CALLS = 50

let ledger: PrivateServer
beforeAll(async () => {
  ledger = await startRedis()
})
afterAll(() => ledger.stop())

/** Within one store: stores side by side. */
const SEQUENTIAL = { concurrent: false }

describe.concurrent.each(kinds)('%s', (kind) => {
  let stand: Stand
  let processes: RunProcess[]
  beforeAll(async () => {
    stand = await startStand(kind)
    const start = () =>
      startRunProcess({ ...stand, ledgerUrl: ledger.url, options: { storeTimeout: '30s', lease: '1m' } })
    processes = await Promise.all([start(), start(), start()])
  })
  afterAll(async () => {
    await Promise.all(processes.map((each) => each.kill()))
    await stand[Symbol.asyncDispose]()
  })

  test.each([2, 3])(
    `${CALLS} identical calls over %i processes are one run and ${CALLS} equal answers`,
    SEQUENTIAL,
    async (count) => {
      const call = { scope: 'm1', op: 'POST /charges', key: randomUUID(), input: { cents: 100 }, wait: '60s' as const }
      const orders = processes.slice(0, count).map((each, i) => {
        const times = Math.floor(CALLS / count) + (i < CALLS % count ? 1 : 0)
        // Whoever runs it, the others arrive meanwhile.
        return each.order({ call, times, holdMs: 100, value: { by: each.pid } })
      })
      const answers = (await Promise.all(orders.map((order) => order.answers))).flat()
      expect(answers).toHaveLength(CALLS)
      const outcomes = answers.map(({ outcome }) => outcome!)
      expect(outcomes.every(({ ok }) => ok)).toBe(true)
      const told = new Set(
        outcomes.map((outcome) => outcome.ok && JSON.stringify([outcome.value, outcome.operationId])),
      )
      expect(told.size).toBe(1)
      expect(outcomes.filter((outcome) => outcome.ok && outcome.kind === 'executed')).toHaveLength(1)
      expect(await askRedis(ledger.url, 'LLEN', `ledger:${call.key}`)).toBe(1)
    },
  )
})
