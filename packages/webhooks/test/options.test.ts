import { expect, test } from 'vitest'
import { createWebhooks, exponentialSchedule, memoryStore, WebhookError } from '@keelson/webhooks'

const good = { store: memoryStore(), encryption: 'plaintext' as const }

const wrong: Record<string, unknown[]> = {
  store: [undefined, {}, null, 'redis'],
  encryption: [undefined, 'none', [], [{ id: 'k', key: 'short' }], { encrypt() {} }],
  events: [
    [],
    { 'a..b': {} },
    { a: null },
    { a: { more: 1 } },
    { a: { version: 0 } },
    { a: { schema: {} } },
    { a: { thin: 1 } },
  ],
  'endpoint.concurrency': [0, 1_001],
  'endpoint.timeout': ['61s', 0],
  'endpoint.retry': [{ schedule: [] }],
  'endpoint.signing': [['github']],
  'endpoint.disableAfter': ['1ms'],
  'endpoint.breaker': [true],
  'endpoint.rate': [1],
  'network.timeout': ['61s', 0],
  'network.maxResponseBytes': [-1, 1.5],
  'network.keepResponseBytes': ['1k'],
  'network.userAgent': ['', 'a\n'],
  'network.allow': [['127.0.0.1/33'], 'x'],
  'dispatcher.concurrency': [0, 10_001],
  'dispatcher.slowAfter': [0, '61s'],
  'dispatcher.slowConcurrency': [0, -1],
  'dispatcher.pollInterval': [1, '2m'],
  'dispatcher.leaseMargin': [1, '11m'],
  'dispatcher.settleEvery': ['2s', -1],
  'retention.attempts': [0],
  'retention.deliveries': ['soon'],
  'retention.events': [-1],
  'retention.held': [NaN],
  maxPayloadBytes: [0, 63],
  maxEndpointsPerScope: [0],
  operationalScope: ['', 1],
  headerPrefix: ['', 'Webhook', 'a b', '-a'],
  propagate: ['traceparent', ['cookie']],
  storeTimeout: [1, '2m'],
  clock: [{}, 1],
  logger: [1, {}],
  more: [1],
}

test.each(Object.entries(wrong))('a wrong %s is refused by its name', (name, values) => {
  const [group, member] = name.split('.') as [string, string | undefined]
  for (const value of values) {
    const options = { ...good, [group]: member === undefined ? value : { [member]: value } }
    let error: unknown
    try {
      createWebhooks(options as never)
    } catch (thrown) {
      error = thrown
    }
    expect(error, JSON.stringify(value)).toBeInstanceOf(WebhookError)
    expect(error).toMatchObject({ code: 'OPTION_INVALID', retryable: false })
    expect((error as Error).message).toContain(member ?? group)
    expect((error as Error).message).toMatch(/^createWebhooks/)
  }
})

test('a wrong handler is refused', () => {
  const webhooks = createWebhooks(good)
  const fn = () => 1
  const cases: [unknown[], RegExp][] = [
    [['', { types: ['**'] }, fn], /"name" must be/],
    [['a b', { types: ['**'] }, fn], /"name" must be/],
    [['a', { types: [] }, fn], /"types" must be/],
    [['a', { types: 'a' }, fn], /"types" must be/],
    [['a', undefined, fn], /"types" must be/],
    [['a', { types: ['**'], scope: '' }, fn], /"scope" must be/],
    [['a', { types: ['**'], timeout: '61s' }, fn], /timeout/],
    [['a', { types: ['**'], more: 1 }, fn], /more/],
    [['a', { types: ['**'] }, 1], /"fn" must be/],
  ]
  for (const [given, message] of cases) {
    const handle = webhooks.handle as (...args: unknown[]) => void
    expect(() => handle(...given)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
    )
  }
  webhooks.handle('a', { types: ['**'] }, fn)
  expect(() => webhooks.handle('a', { types: ['**'] }, fn)).toThrow(/already/)
})

test('what an application calls with is checked as its options are', async () => {
  await using webhooks = createWebhooks({ store: memoryStore(), encryption: 'plaintext' })
  const scope = 's'
  const { id, revision } = await webhooks.endpoints.create({ scope, url: 'https://hooks.example' })
  const update = (given: unknown) =>
    webhooks.endpoints.update({ scope, id, revision: given as number, set: { description: 'new' } })
  const bad: [call: () => unknown, code: string, message: RegExp][] = [
    [() => webhooks.stop({ drian: '1m' } as never), 'OPTION_INVALID', /stop: unknown option "drian"/],
    [() => webhooks.stop({ drain: 'soon' as never }), 'OPTION_INVALID', /stop: "drain" must be a Duration.*'soon'/],
    [() => webhooks.stop(null as never), 'OPTION_INVALID', /stop/],
    [() => webhooks.runOnce({ bugdet: 1 } as never), 'OPTION_INVALID', /runOnce: unknown option "bugdet"/],
    [() => webhooks.runOnce({ budget: -1 }), 'OPTION_INVALID', /runOnce: "budget" must be a Duration.*-1/],
    [() => webhooks.on('delivery.dead', undefined as never), 'INPUT_INVALID', /on: "fn" must be a function/],
    [() => update(String(revision)), 'INPUT_INVALID', /endpoints.update: "revision" must be .* \(got '/],
    [() => update(null), 'INPUT_INVALID', /endpoints.update: "revision"/],
    [() => webhooks.signingKeys.list({ scope, principal: 5 as never }), 'INPUT_INVALID', /"principal" must be/],
    [() => webhooks.signingKeys.list({ scope, principal: '' }), 'INPUT_INVALID', /"principal" must be/],
  ]
  for (const [call, code, message] of bad) {
    const refused = { name: 'WebhookError', code, message: expect.stringMatching(message) as string }
    await expect((async () => call())(), String(message)).rejects.toMatchObject(refused)
  }
  expect(await update(revision)).toMatchObject({ description: 'new' })
})

test('a schedule that doubles', () => {
  expect(exponentialSchedule({ retries: 4 })).toEqual([0, 1_000, 2_000, 4_000, 8_000])
  expect(exponentialSchedule({ retries: 3, first: '1m', factor: 3, max: '5m' })).toEqual([0, 60_000, 180_000, 300_000])
  expect(exponentialSchedule({ retries: 0 })).toEqual([0])
  expect(exponentialSchedule({ retries: 49 }).at(-1)).toBe(24 * 3_600_000)
  for (const bad of [
    { retries: -1 },
    { retries: 50 },
    { retries: 1.5 },
    { retries: 1, factor: 0.5 },
    { retries: 1, factor: NaN },
    { retries: 1, max: '31d' },
    { retries: 1, first: 'soon' },
  ]) {
    expect(() => exponentialSchedule(bad as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  }
})
