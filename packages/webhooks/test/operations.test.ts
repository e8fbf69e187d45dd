import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { context } from '@keelson/kernel'
import { text as prometheusText } from '@keelson/kernel/prometheus'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore, type OperationalEvent, type OperationalNotice } from '@keelson/webhooks'
import { promtoolFaults } from '../../../tools/servers/promtool.ts'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })
const NAMES: OperationalEvent[] = [
  'endpoint.failing',
  'endpoint.disabled',
  'endpoint.recovered',
  'delivery.dead',
  'delivery.succeeded',
]

describe.each(over)('operating over %s', (_, open) => {
  test('operational events go to their scope too, but none about itself, and none of successes', async () => {
    const { webhooks, receiver } = await stage(open, {
      operationalScope: 'ops',
      endpoint: { retry: { schedule: [0] } },
    })
    receiver.answer(410, { path: '/gone' })
    receiver.answer(500, { path: '/ops-too' })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/gone` })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/well` })
    await webhooks.endpoints.create({ scope: 'ops', url: `${receiver.url}/ops` })
    await webhooks.endpoints.create({ scope: 'ops', url: `${receiver.url}/ops-too` })
    const seen: OperationalNotice[] = []
    for (const name of NAMES) webhooks.on(name, (notice) => void seen.push(notice))
    webhooks.on('delivery.dead', () => {
      throw new Error('a listener')
    })
    webhooks.on('delivery.dead', async () => Promise.reject(new Error('an async listener')))
    const stop = webhooks.on('delivery.dead', () => expect.unreachable())
    stop()
    await webhooks.start()
    const { id } = await webhooks.send('order.created', 1, { scope })
    await eventually(
      'the dead of ops',
      () => seen.filter(({ name, scope: of }) => name === 'delivery.dead' && of === 'ops').length === 2,
    )
    await eventually('what succeeds', () => seen.filter(({ name }) => name === 'delivery.succeeded').length === 3)
    await eventually('the end of all', async () => {
      const { unrouted, pending, delivering } = (await webhooks.inspect()).counts
      return unrouted + pending + delivering === 0
    })
    const told = receiver.received
      .filter(({ path }) => path === '/ops')
      .map((request) => request.json() as { type: string; data: OperationalNotice })
    expect(told.map(({ type }) => type).toSorted()).toEqual(['webhooks.delivery.dead', 'webhooks.endpoint.disabled'])
    expect(told.find(({ type }) => type === 'webhooks.delivery.dead')!.data).toMatchObject({
      scope,
      event: id,
      reason: 'gone',
    })
    expect(() => webhooks.on('nothing' as never, () => {})).toThrow(/"name" must be one of endpoint\.failing/)
  })

  test('logs, channels and traces hold ids, and no URL, secret or body', async () => {
    const { webhooks, receiver, log } = await stage(open)
    const heard: Record<string, unknown[]> = {}
    for (const channel of ['publish', 'route', 'claim', 'attempt', 'settle']) {
      const name = `tracing:keelson:webhooks:${channel}:asyncEnd`
      const fn = (message: object) => void (heard[channel] ??= []).push({ ...message })
      subscribe(name, fn as never)
      onTestFinished(() => void unsubscribe(name, fn as never))
    }
    receiver.answer({ status: 500, body: 'PRIVATE-ANSWER' })
    const { secret, id } = await webhooks.endpoints.create({
      scope,
      url: `${receiver.url}/PRIVATE-PATH`,
      headers: { 'x-key': 'PRIVATE-KEY' },
    })
    await webhooks.start()
    await context.run({ correlationId: 'c-7' }, async () => webhooks.send('order.created', 'PRIVATE-DATA', { scope }))
    await eventually('a dead one', () => log.some(({ message }) => message === 'webhooks.delivery_dead'))
    expect(Object.keys(heard).toSorted()).toEqual(['attempt', 'claim', 'publish', 'route', 'settle'])
    const details = heard['attempt']!.map((one) => ({ ...(one as object), result: undefined }))
    expect(details[0]).toMatchObject({ type: 'order.created', number: 1 })
    const trace = await webhooks.trace!('c-7')
    expect(trace.map(({ kind }) => kind)).toEqual([
      'webhook.event',
      ...Array.from({ length: 4 }, () => 'webhook.attempt'),
    ])
    expect(await webhooks.trace!('nul \0')).toEqual([])
    const all = JSON.stringify([
      log,
      details,
      trace,
      heard['claim']!.map((one) => ({ ...(one as object), result: undefined })),
    ])
    for (const hidden of ['PRIVATE', secret, receiver.url]) expect(all).not.toContain(hidden)
    expect(all).toContain(id)
    expect(log.filter(({ message }) => message === 'webhooks.attempt_failed')).toHaveLength(4)
  })

  test('deliveries that a call cancels are counted', async () => {
    const { webhooks } = await stage(open, { network: {} })
    const { id } = await webhooks.endpoints.create({ scope, url: 'https://hooks.example' })
    await webhooks.endpoints.pause({ scope, id })
    await webhooks.start()
    await webhooks.sendMany([
      { type: 'a', data: 1, scope, subject: 'ann' },
      { type: 'a', data: 2, scope },
    ])
    await eventually('both routed', async () => (await webhooks.deliveries.list({ scope })).items.length === 2)
    expect(await webhooks.eraseSubject(scope, 'ann')).toEqual({ events: 1, cancelled: 1 })
    expect(await webhooks.deliveries.cancel({ scope })).toBe(1)
    const page = prometheusText(webhooks)
    expect(page).toContain('keelson_webhooks_deliveries_final_total{reason="",status="cancelled"} 1')
    expect(page).toContain('keelson_webhooks_deliveries_final_total{reason="erased",status="cancelled"} 1')
  })

  test('metrics pass promtool, and inspect tells what is there', async () => {
    const { webhooks, receiver } = await stage(open)
    receiver.answer(404, { path: '/bad' })
    await webhooks.endpoints.create({ scope, url: receiver.url })
    const bad = await webhooks.endpoints.create({ scope, url: `${receiver.url}/bad` })
    await webhooks.start()
    await webhooks.send('a', 1, { scope })
    await eventually('the end of both', async () => {
      const { unrouted, pending, delivering, dead } = (await webhooks.inspect()).counts
      return unrouted + pending + delivering === 0 && dead === 1
    })
    await webhooks.endpoints.disable({ scope, id: bad.id })
    await webhooks.endpoints
      .create({ scope, url: receiver.url })
      .then(({ id }) => webhooks.endpoints.pause({ scope, id }))
    expect(await webhooks.inspect()).toMatchObject({
      name: 'webhooks',
      state: 'ok',
      counts: {
        unrouted: 0,
        delivering: 0,
        held: 0,
        dead: 1,
        endpointsActive: 1,
        endpointsPaused: 1,
        endpointsDisabled: 1,
        breakersOpen: 0,
      },
    })
    expect((await webhooks.inspect()).lastError).toBeUndefined()
    const page = prometheusText(webhooks)
    expect(await promtoolFaults(page)).toEqual([])
    for (const line of [
      'keelson_webhooks_events_total{result="fresh"} 1',
      'keelson_webhooks_attempts_total{outcome="success"} 1',
      'keelson_webhooks_attempts_total{outcome="status"} 4',
      'keelson_webhooks_attempt_seconds_count 5',
      'keelson_webhooks_deliveries_final_total{reason="exhausted",status="dead"} 1',
      'keelson_webhooks_deliveries_final_total{reason="",status="succeeded"} 1',
      'keelson_webhooks_endpoints_disabled 1',
      'keelson_webhooks_pending 0',
      'keelson_webhooks_slots_fast 0',
      'keelson_webhooks_oldest_due_seconds 0',
    ]) {
      expect(page).toContain(`\n${line}\n`)
    }
  })
})

test('breaker and automatic disabling, in virtual time', async () => {
  const clock = virtualClock()
  const endpoint = {
    retry: { schedule: Array.from({ length: 50 }, () => 5_000), jitter: 0 },
    breaker: { failures: 3, cooldown: '30s' },
    disableAfter: '2h',
  } as const
  const { webhooks, receiver } = await stage(memory!, { store: memoryStore({ clock }), clock, endpoint })
  receiver.answer(500)
  const { id } = await webhooks.endpoints.create({ scope, url: receiver.url })
  const notices: unknown[] = []
  for (const name of NAMES.slice(0, 3)) {
    webhooks.on(name, ({ name: told, percent, reason }) => void notices.push([told, percent ?? reason ?? null]))
  }
  await webhooks.start()
  await webhooks.send('a', 1, { scope })
  /** Lets time pass until something is received. */
  const pass = async (count: number) => {
    while (receiver.received.length < count) {
      const { slotsFast, slotsSlow } = (await webhooks.inspect()).counts
      // The answer of a receiver takes real time.
      await (slotsFast + slotsSlow > 0 ? new Promise((resolve) => setImmediate(resolve)) : clock.advance(1_000))
    }
    await eventually('it is told', async () => {
      await clock.advance(10)
      return (await webhooks.inspect()).counts.delivering === 0
    })
  }
  await pass(3)
  const opened = await webhooks.endpoints.get({ scope, id })
  expect(opened.health.breaker).toBe('open')
  expect((await webhooks.deliveries.list({ scope })).items[0]).toMatchObject({ held: 'breaker', attempts: 3 })
  expect((await webhooks.inspect()).state).toBe('degraded')
  const thenMs = clock.monotonic()
  await pass(4)
  expect(clock.monotonic() - thenMs).toBeGreaterThan(29_000)
  expect(notices).toEqual([])
  for (let count = 5; (await webhooks.endpoints.get({ scope, id })).state === 'active'; count++) await pass(count)
  expect(notices).toEqual([
    ['endpoint.failing', 50],
    ['endpoint.failing', 70],
    ['endpoint.failing', 90],
    ['endpoint.disabled', 'failing'],
  ])
  expect((await webhooks.deliveries.list({ scope })).items[0]).toMatchObject({ held: 'disabled', status: 'pending' })
  receiver.answer(200)
  const before = receiver.received.length
  expect(await webhooks.endpoints.enable({ scope, id })).toMatchObject({
    state: 'active',
    health: { breaker: 'closed', failingSince: null },
  })
  await pass(before + 1)
  expect((await webhooks.deliveries.list({ scope })).items[0]).toMatchObject({ status: 'succeeded' })
})
