import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import type { StoreKind } from './open-store.ts'
import { startRunProcess, type RunProcess } from './run-process.ts'
import { startStand, type Stand } from './stand.ts'

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6']
const WAITERS = 1_000

describe.each(kinds)('%s', (kind) => {
  let stand: Stand
  let owner: RunProcess
  let others: RunProcess[]
  beforeAll(async () => {
    stand = await startStand(kind)
    // No look at the record but for a message: the one without comes after a quarter of the lease.
    const options = { storeTimeout: '30s', lease: '10m', wait: '120s', maxWaiters: { perKey: WAITERS } } as const
    const start = () => startRunProcess({ ...stand, options })
    ;[owner, ...others] = await Promise.all([start(), start(), start()] as const)
    // The server knows the scripts.
    for (const each of [owner, ...others]) await each.order({ call: someCall() }).answers
  })
  afterAll(async () => {
    await Promise.all([owner, ...others].map((each) => each.kill()))
    await stand[Symbol.asyncDispose]()
  })

  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

  /** Calls of scripts since the last reset. */
  async function scripts(): Promise<number> {
    const stats = String(await askRedis(stand.server.url, 'INFO', 'commandstats'))
    return [...stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0)
  }

  test.each([
    // Its subscription opens then, and what ended before that would not be heard of.
    ['whose process waits for the first time', 2],
    ['whose process has waited before', 1],
  ])(`${WAITERS} waiters in each of two processes, %s, cost its looks and one wake-up`, async (which, looks) => {
    await askRedis(stand.server.url, 'CONFIG', 'RESETSTAT')
    const call = someCall()
    const owning = owner.order({ call, gated: true, value: { by: 'owner' } })
    await owning.started
    const waiting = others.map((each) => each.order({ call, times: WAITERS, value: { by: 'waiter' } }))
    await until('all wait', 60_000, async () => (await scripts()) >= 1 + looks * others.length || undefined)
    await sleep(300)
    expect(await scripts()).toBe(1 + looks * others.length)

    owning.go()
    const [owned] = await owning.answers
    const answers = (await Promise.all(waiting.map((each) => each.answers))).flat()
    expect(owned!.outcome).toMatchObject({ ok: true, kind: 'executed', value: { by: 'owner' } })
    expect(answers).toHaveLength(others.length * WAITERS)
    for (const { outcome } of answers) {
      expect(outcome).toMatchObject({ ok: true, kind: 'replayed', waited: true, value: { by: 'owner' } })
    }
    expect(await scripts()).toBe(2 + (looks + 1) * others.length)

    const afterMs = answers.map(({ atMs }) => atMs - owned!.atMs).toSorted((a, b) => a - b)
    const at = (part: number): string => afterMs[Math.ceil(part * afterMs.length) - 1]!.toFixed(1)
    console.log(
      `${kind}: ${answers.length} waiters, ${which}: p50 ${at(0.5)}, p99 ${at(0.99)}, last ${at(1)} ms after the owner`,
    )
    // Without the wake-up: a quarter of the lease.
    expect(afterMs.at(-1)).toBeLessThan(30_000)
  })
})
