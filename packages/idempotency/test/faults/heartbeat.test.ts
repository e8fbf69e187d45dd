import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { StoreKind } from './open-store.ts'
import { startStand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6', 'Postgres']
/** Renewed after a third, which falls into the outage; what is left is time to come back. */
const LEASE_MS = 8_000
const OUTAGE = { fromMs: 1_800, toMs: 3_400 }

test.concurrent.each(kinds)(
  '%s: a renewal that falls into an outage is made up for, and the run keeps its key beyond its first lease',
  async (kind) => {
    await using stand = await startStand(kind)
    const [owner, other] = await Promise.all([
      stand.open({ storeTimeout: '1s' }),
      stand.open({ storeTimeout: '20s' }, { direct: true }),
    ])
    const call = { scope: 'm1', op: 'POST /charges', key: randomUUID(), lease: LEASE_MS }
    const first = owner.run(call, async (x) => {
      await sleep(OUTAGE.fromMs)
      stand.proxy.refuse()
      await sleep(OUTAGE.toMs - OUTAGE.fromMs)
      stand.proxy.pass()
      await sleep(LEASE_MS + 500 - OUTAGE.toMs)
      const duplicate = await other.run({ ...call, wait: 0 }, async () => 'second')
      return { aborted: x.signal.aborted, duplicate: duplicate.ok ? duplicate.value : duplicate.code }
    })
    expect(await first).toMatchObject({
      ok: true,
      kind: 'executed',
      attempt: 1,
      value: { aborted: false, duplicate: 'KEY_IN_USE' },
    })
  },
)
