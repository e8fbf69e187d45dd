import { describe, expect, onTestFinished, test } from 'vitest'
import { startReceiver, type Receiver } from '../../src/testing/index.ts'
import { localSender, post, textOf } from './send.ts'

async function receiver(): Promise<Receiver> {
  const started = await startReceiver()
  onTestFinished(() => started.close())
  return started
}

describe('an attempt', () => {
  test('posts the very bytes and headers, as ours', async () => {
    const local = await receiver()
    const body = Uint8Array.from({ length: 256 }, (_, i) => i)
    const result = await post(localSender(), `${local.url}/hook?a=1&b=%20`, {
      body,
      headers: { 'webhook-id': 'msg_9' },
    })
    expect(result).toMatchObject({ outcome: 'success', status: 204, remoteAddress: '127.0.0.1', error: null })
    expect(result.durationMs).toBeGreaterThan(0)
    const got = await local.next()
    expect(got).toMatchObject({ method: 'POST', path: '/hook?a=1&b=%20', body: Buffer.from(body) })
    expect(got.headers).toEqual({
      host: local.url.slice('http://'.length),
      connection: 'keep-alive',
      'user-agent': 'Keelson-Webhooks',
      'webhook-id': 'msg_9',
      'content-length': '256',
    })
  })

  test.each([
    [200, 'success'],
    [202, 'success'],
    [204, 'success'],
    [301, 'redirect'],
    [304, 'redirect'],
    [307, 'redirect'],
    [400, 'status'],
    [410, 'status'],
    [429, 'status'],
    [500, 'status'],
    [503, 'status'],
  ])('%i is %s', async (status, outcome) => {
    const local = await receiver()
    local.answer(status)
    expect(await post(localSender(), local.url)).toMatchObject({ outcome, status, error: null })
  })

  test('follows no redirect and keeps no cookie', async () => {
    const local = await receiver()
    const sender = localSender()
    local.answer({ status: 302, headers: { location: '/elsewhere', 'set-cookie': 'a=b' } })
    expect(await post(sender, local.url)).toMatchObject({ outcome: 'redirect', status: 302 })
    await post(sender, local.url)
    expect(local.received.map(({ path }) => path)).toEqual(['/', '/'])
    expect(local.received.every(({ headers }) => headers.cookie === undefined)).toBe(true)
  })

  test('keeps the first bytes of the body as they are sent, whatever their encoding', async () => {
    const local = await receiver()
    local.answer({ status: 500, headers: { 'content-encoding': 'gzip' }, body: 'not gzip at all' })
    const result = await post(localSender({ keepResponseBytes: 8 }), local.url)
    expect(result.outcome).toBe('status')
    expect(textOf(result)).toBe('not gzip')
    local.answer(204)
    expect(textOf(await post(localSender(), local.url))).toBe('')
  })

  test('a body over the limit: its status decides, and its socket is gone', async () => {
    const local = await receiver()
    local.answer({ status: 200, body: 'x'.repeat(100_000) })
    const sender = localSender({ maxResponseBytes: 1_000, keepResponseBytes: 2_000 })
    const result = await post(sender, local.url)
    expect(result).toMatchObject({ outcome: 'success', status: 200, error: null })
    expect(result.response).toHaveLength(1_000)
    await until(() => local.connections === 0)
    local.answer({ body: 'x'.repeat(1_000) })
    await post(sender, local.url)
    expect(local.connections).toBe(1)
  })

  test('uses a socket again after a complete answer', async () => {
    const local = await receiver()
    const sender = localSender()
    local.answer({ status: 500, body: 'whole' })
    for (let i = 0; i < 20; i++) await post(sender, local.url)
    expect(local.connections).toBe(1)
    await Promise.all(Array.from({ length: 10 }, () => post(sender, local.url)))
    expect(local.connections).toBeLessThanOrEqual(10)
  })

  test.each([
    ['3', undefined, 3_000],
    ['0', undefined, 0],
    ['Wed, 21 Oct 2015 07:28:30 GMT', 'Wed, 21 Oct 2015 07:28:00 GMT', 30_000],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 'Wed, 21 Oct 2015 07:28:30 GMT', 0],
    ['soon', undefined, null],
    ['-1', undefined, null],
    ['1.5', undefined, null],
    ['99999999999999999999', undefined, Number.MAX_SAFE_INTEGER],
  ])('Retry-After %s at %s is %s ms', async (value, date, expected) => {
    const local = await receiver()
    local.answer({ status: 503, headers: { 'retry-after': value, ...(date && { date }) } })
    expect(await post(localSender(), local.url)).toMatchObject({ outcome: 'status', retryAfterMs: expected })
    local.answer({ status: 200, headers: { 'retry-after': '5' } })
    expect(await post(localSender(), local.url)).toMatchObject({ outcome: 'success', retryAfterMs: null })
  })

  test('a URL that may not be called, is refused and nothing is dialled', async () => {
    const local = await receiver()
    const sender = localSender({ httpsOnly: true })
    expect(await post(sender, local.url)).toEqual({
      outcome: 'refused',
      status: null,
      remoteAddress: null,
      response: null,
      retryAfterMs: null,
      error: 'not https',
      durationMs: 0,
    })
    for (const [url, error] of [
      ['https://user@example.com/', 'credentials'],
      ['https://example.com/#a', 'fragment'],
      ['ftp://example.com/', 'scheme'],
      ['https://10.0.0.1/', 'private'],
      ['nonsense', 'not a URL'],
    ])
      expect(await post(sender, url!)).toMatchObject({ outcome: 'refused', error })
    expect(local.received).toEqual([])
  })

  test('nobody there', async () => {
    const local = await startReceiver()
    await local.close()
    expect(await post(localSender(), local.url)).toMatchObject({
      outcome: 'connect',
      error: 'ECONNREFUSED',
      status: null,
      remoteAddress: null,
      response: null,
    })
  })

  test('a name that nobody knows', async () => {
    const resolve = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
    expect(await post(localSender({ resolve }), 'http://nowhere.test/')).toMatchObject({
      outcome: 'dns',
      error: 'ENOTFOUND',
    })
    const empty = localSender({ resolve: () => Promise.resolve([]) })
    expect(await post(empty, 'http://nowhere.test/')).toMatchObject({ outcome: 'dns', error: 'ENOTFOUND' })
    const broken = localSender({ resolve: (() => undefined) as never })
    expect(await post(broken, 'http://nowhere.test/')).toMatchObject({ outcome: 'dns', error: 'FAILED' })
  })

  test('a header that is none', async () => {
    const local = await receiver()
    const result = await post(localSender(), local.url, { headers: { 'x-bad': 'a\r\nhost: b' } })
    expect(result).toMatchObject({ outcome: 'protocol' })
    expect(local.received).toEqual([])
  })

  test('who gave up waiting for a socket is not sent later', async () => {
    const local = await receiver()
    const sender = localSender({ maxSocketsPerOrigin: 1 })
    let answer!: (status: number) => void
    local.answer(() => new Promise((resolve) => (answer = resolve)), { times: 1 })
    const first = post(sender, local.url)
    await local.next()
    expect(await post(sender, `${local.url}/late`, { timeoutMs: 20 })).toMatchObject({ outcome: 'timeout' })
    answer(204)
    expect(await first).toMatchObject({ outcome: 'success' })
    expect(await post(sender, `${local.url}/next`)).toMatchObject({ outcome: 'success' })
    expect(local.received.map(({ path }) => path)).toEqual(['/', '/next'])
  })

  test('waits for a socket where they are limited, and not longer than its time', async () => {
    const local = await receiver()
    const sender = localSender({ maxSocketsPerOrigin: 2 })
    const all = await Promise.all(Array.from({ length: 20 }, () => post(sender, local.url)))
    expect(all.every(({ outcome }) => outcome === 'success')).toBe(true)
    expect(local.connections).toBeLessThanOrEqual(2)

    local.answer({ hang: 'head' }, { path: '/hang' })
    const hung = [1, 2].map(() => post(sender, `${local.url}/hang`, { timeoutMs: 60_000 }))
    await local.waitFor(22)
    expect(await post(sender, local.url, { timeoutMs: 50 })).toMatchObject({ outcome: 'timeout', error: 'ETIMEDOUT' })
    const patient = post(sender, local.url)
    await sender.close()
    for (const end of await Promise.all([...hung, patient]))
      expect(end).toMatchObject({ outcome: 'reset', error: 'CLOSED' })
    expect(await post(sender, local.url)).toMatchObject({ outcome: 'reset', error: 'CLOSED' })
  })
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}
