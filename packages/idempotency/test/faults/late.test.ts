import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Outcome } from '@keelson/idempotency'
import { until } from '../../../../tools/servers/until.ts'
import type { StoreKind } from './open-store.ts'
import { startStand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'ioredis 5', 'node-redis 6', 'Postgres']
/** Longer than a machine stands still: what comes late is given back in time. */
const LEASE_MS = 5_000

test.concurrent.each(kinds)(
  '%s: a claim that a server makes when nobody asks for it any more is given back before it looks like a lost owner',
  async (kind) => {
    await using stand = await startStand(kind)
    const idempotency = await stand.open({ guarantee: 'at-most-once', lease: LEASE_MS })
    const call = { scope: 'm1', op: 'POST /charges', key: randomUUID() }
    stand.server.freeze()
    const refused = await idempotency.run(call, async () => 'never')
    await sleep(1.1 * LEASE_MS) // so long that nothing is owed any more
    stand.server.thaw()
    expect(refused).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })

    const seen: Outcome<string>[] = []
    await until('the key works', 60_000, async () => {
      const outcome = await idempotency.run({ ...call, wait: '2s', lease: '1m' }, async () => 'charged')
      seen.push(outcome)
      return outcome.ok || !outcome.retryable || undefined
    })
    expect(seen.at(-1)).toMatchObject({ ok: true, kind: 'executed', attempt: 1, value: 'charged' })
  },
)
