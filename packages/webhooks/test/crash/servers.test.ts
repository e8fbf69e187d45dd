import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createWebhooks } from '@keelson/webhooks'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { until } from '../../../../tools/servers/until.ts'
import { accountOf } from './account.ts'
import { startDurable } from './durable-server.ts'
import { STEADY, startNode } from './node.ts'
import { newPlace, openPlace } from './place.ts'
import { startTally } from './tally.ts'
import { openSending, PATIENCE_MS, SCOPE, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'
const STOPS = LONG ? 20 : 3
const FROZEN_MS = 3_000
const PATHS = 12
const IN_FLIGHT = 8

test.each(['redis', 'postgres'] as const)(
  'the server of %s is killed and started again under load: nothing acknowledged is lost',
  async (kind) => {
    await using server = await startDurable[kind]()
    const place = newPlace(kind, server.url)
    await using tally = await startTally([5, 40])
    await using sending = await openSending(place, { timeout: '6s' })
    await sending.endpoints(tally, PATHS)
    await using node = await startNode(place, STEADY)
    await using other = await startNode(place, STEADY)
    let stops = 0
    const flowing = sending.flow(tally, {
      lines: 2 * PATHS,
      paths: PATHS,
      more: () => stops < STOPS,
      rest: () => sleep(10),
    })
    for (; stops < STOPS; stops++) {
      const before = tally.ids.size
      await until('all is in full work', PATIENCE_MS, async () =>
        tally.ids.size > before + 100 && tally.openOf(node.name) + tally.openOf(other.name) >= IN_FLIGHT
          ? true
          : undefined,
      )
      await server.kill()
      await server.restart()
    }
    await flowing
    await sending.drained()
    const { broken, duplicates, crashed } = await accountOf(sending, tally)
    console.log(
      `${kind}: ${sending.acknowledged.size} events, ${stops} stops; ${crashed} attempts crashed, ${duplicates} requests twice`,
    )
    expect(broken.slice(0, 20)).toEqual([])
  },
  LONG ? 3_600_000 : SLOW_MS,
)

test.each(['redis', 'postgres'] as const)(
  'the server of %s stands still: no call waits for it, and all goes on when it does',
  async (kind) => {
    await using server = await startDurable[kind]()
    const place = newPlace(kind, server.url)
    await using tally = await startTally([5, 40])
    await using sending = await openSending(place, { timeout: '6s' })
    await sending.endpoints(tally, PATHS)
    await using node = await startNode(place, STEADY)
    await using opened = await openPlace(place)
    const open = () => createWebhooks({ ...STEADY, store: opened.store, encryption: 'plaintext' })
    const [caller, stopped] = [open(), open()]
    try {
      await stopped.start()
      let over = false
      const flowing = sending.flow(tally, { lines: PATHS, paths: PATHS, more: () => !over, rest: () => sleep(20) })
      await until('all is in full work', PATIENCE_MS, async () =>
        tally.ids.size > 50 && tally.openOf(node.name) > 0 ? true : undefined,
      )
      server.freeze()
      try {
        const thawing = sleep(FROZEN_MS)
        const calls = [
          caller.send('to.0', {}, { scope: SCOPE }),
          caller.sendMany([{ type: 'to.0', data: {}, scope: SCOPE }]),
          caller.endpoints.list({ scope: SCOPE }),
          caller.deliveries.list({ scope: SCOPE }),
          caller.pause({ scope: 'nobody' }),
        ]
        // Nobody thaws it before they are answered: a call that waits for the server waits for ever.
        expect((await Promise.allSettled(calls)).map((one) => one.status === 'rejected' && one.reason.code)).toEqual(
          calls.map(() => 'STORE_UNAVAILABLE'),
        )
        expect((await caller.inspect()).state).toBe('down')
        await stopped.stop({ drain: 100 })
        await thawing
      } finally {
        server.thaw()
      }
      const before = tally.ids.size
      await until('all goes on', PATIENCE_MS, async () => (tally.ids.size > before + 100 ? true : undefined))
      await until('calls are served', PATIENCE_MS, async () => caller.endpoints.list({ scope: SCOPE }))
      over = true
      await flowing
      await sending.drained()
    } finally {
      await Promise.all([caller.close(), stopped.close()])
    }
    const { broken } = await accountOf(sending, tally)
    expect(broken.slice(0, 20)).toEqual([])
  },
)

test('a Postgres that stands still longer than a connection waits is away, whatever the time-out of its callers', async () => {
  await using server = await startPostgres()
  await using opened = await openPlace(newPlace('postgres', server.url))
  const webhooks = createWebhooks({ ...STEADY, store: opened.store, encryption: 'plaintext', storeTimeout: '1m' })
  try {
    await webhooks.inspect()
    server.freeze()
    await expect(webhooks.send('to.0', {}, { scope: SCOPE })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  } finally {
    server.thaw()
    await webhooks.close()
  }
})
