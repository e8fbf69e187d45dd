import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import type { StoreKind } from './open-store.ts'
import { gate, startStand, timed, type Stand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6']

/** Within one store: stores side by side. */
const SEQUENTIAL = { concurrent: false }

describe.concurrent.each(kinds)('%s: an instance that is closed', (kind) => {
  let stand: Stand
  beforeAll(async () => {
    stand = await startStand(kind)
  })
  afterAll(() => stand[Symbol.asyncDispose]())

  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID(), wait: '2s' as const })
  async function subscribers(): Promise<number> {
    const [, count] = (await askRedis(stand.server.url, 'PUBSUB', 'NUMSUB', `${stand.space}:ended`)) as [string, number]
    return count
  }

  /** A run that holds its key until `end`. */
  async function held() {
    const owner = await stand.open({ storeTimeout: '20s' }, { direct: true })
    const call = someCall()
    const [started, ending] = [gate(), gate()]
    const first = owner.run(call, async () => {
      started.open()
      await ending.opened
      return 'first'
    })
    await started.opened
    return { call, end: () => (ending.open(), first) }
  }

  test('while its server stands still ends in time, and so does who waits in it', SEQUENTIAL, async () => {
    const { call, end } = await held()
    // Also for the claim that finds the key busy.
    const leaver = await stand.open({ storeTimeout: '5s' })
    const waiting = leaver.run({ ...call, wait: '30s' }, async () => 'second')
    await until('it listens', 60_000, async () => (await subscribers()) === 1 || undefined)
    stand.server.freeze()
    const { tookMs } = await timed(leaver.close())
    const outcome = await timed(waiting)
    stand.server.thaw()
    expect(tookMs).toBeLessThan(20_000)
    expect(outcome.tookMs).toBeLessThan(20_000)
    expect(outcome.value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
    await until('it does not listen any more', 60_000, async () => (await subscribers()) === 0 || undefined)
    expect(await end()).toMatchObject({ ok: true, value: 'first' })
  })

  test('opens no connection any more for a call that finds its key busy after that', SEQUENTIAL, async () => {
    const { call, end } = await held()
    const leaver = await stand.open({ storeTimeout: '20s' })
    stand.proxy.delay(50)
    const waiting = leaver.run({ ...call, wait: '500ms' }, async () => 'second')
    await leaver.close()
    stand.proxy.pass()
    await sleep(300)
    expect(await subscribers()).toBe(0)
    expect(await waiting).toMatchObject({ ok: false, code: 'KEY_IN_USE' })
    expect(await end()).toMatchObject({ ok: true, value: 'first' })
  })
})
