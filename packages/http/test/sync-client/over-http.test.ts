import { createServer, type ServerResponse } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import type { SyncClient, SyncClientOptions } from '@keelson/sync/client'
import { memoryStore as serverStore } from '@keelson/sync'
import { until } from '../../../../tools/servers/until.ts'
import { serve } from '../wire.ts'
import { openDevice, tasks } from './open-device.ts'
import { serveSync } from './serve-sync.ts'

const PATIENCE_MS = 120_000

/** A client that ends with its test. */
function device(port: number, more: Partial<SyncClientOptions> = {}): SyncClient {
  const client = openDevice(port, more)
  onTestFinished(() => client.close())
  return client
}

/** A server in memory, and how often each operation was applied. */
async function open() {
  const applied = new Map<string, number>()
  const served = await serveSync({
    store: serverStore(),
    async apply(_, wins) {
      for (const { op } of wins) applied.set(op, (applied.get(op) ?? 0) + 1)
    },
  })
  onTestFinished(() => served.close())
  return { ...served, applied }
}

test('what one device edits another that waits for news has, and an edit interrupts the wait', async () => {
  const { port, applied } = await open()
  const [a, b] = [device(port, { live: true }), device(port, { live: true })]
  await a.start()
  await b.start()
  await until('both wait', PATIENCE_MS, async () =>
    [a, b].every((one) => one.status().lastSyncedAt !== null) ? true : undefined,
  )
  for (let i = 0; i < 5; i++) {
    const [from, to] = i % 2 === 0 ? [a, b] : [b, a]
    const { settled } = await tasks(from).put('t1', { title: `${i}` })
    expect(await settled).toMatchObject({ status: 'applied' })
    await until('it arrives', PATIENCE_MS, async () =>
      (await tasks(to).get('t1'))?.title === `${i}` ? true : undefined,
    )
  }
  expect([...applied.values()]).toEqual([1, 1, 1, 1, 1])
})

test('signed out in between: nothing is lost, and the next credentials send it', async () => {
  const { port } = await open()
  let token = ''
  const a = device(port, { headers: async () => (token === '' ? {} : { authorization: `Bearer ${token}` }) })
  const { settled } = await tasks(a).put('t1', { title: 'x' })
  await expect(a.sync()).rejects.toMatchObject({ code: 'AUTH' })
  expect(a.status().state).toBe('auth')
  expect(a.pending().count).toBe(1)
  token = 'ann'
  expect(await a.sync()).toMatchObject({ pushed: 1 })
  expect(await settled).toMatchObject({ status: 'applied' })
})

test('large edits, together far more than a request may have, and letters of three bytes', async () => {
  const { port, applied } = await open()
  const a = device(port)
  for (let i = 0; i < 60; i++) await tasks(a).put(`t${i}`, { text: (i % 2 === 0 ? 'x' : '€').repeat(20_000) })
  expect(await a.sync()).toMatchObject({ pushed: 60, issues: 0 })
  expect(applied.size).toBe(60)
  const b = device(port)
  await b.sync()
  const byId = async (client: SyncClient) => new Map((await tasks(client).all()).map(({ id, doc }) => [id, doc]))
  expect(await byId(b)).toEqual(await byId(a))
})

test.each([65_000, 70_000, 1_000_000, 1_048_600, 3_000_000, 20_000_000])(
  'an edit of %i characters is there, or an issue, and holds up no other',
  async (length) => {
    const { port } = await open()
    // What a slow machine needs for twenty megabytes is nothing against the limit of a request, which is half a minute.
    const a = device(port, { fetch: (url, init) => fetch(url, { ...init, signal: null }) })
    await tasks(a).put('large', { text: 'x'.repeat(length) })
    await tasks(a).put('small', { text: 'x' })
    expect(await a.sync()).toMatchObject({ pushed: 2, issues: length > 65_400 ? 1 : 0 })
    expect(a.pending().count).toBe(0)
    if (length > 65_400) expect(a.issues()).toMatchObject([{ id: 'large', code: 'too-large' }])
    const b = device(port)
    await b.sync()
    expect((await tasks(b).all()).map(({ id }) => id)).toContain('small')
  },
)

const inAnHour = { date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'retry-after': 'Sun, 06 Nov 1994 09:49:37 GMT' }

test.each([
  [503, 'in seconds', { 'retry-after': '3600' }],
  [429, 'in seconds', { 'retry-after': '3600' }],
  [503, 'as a date, by the clock of the server', inAnHour],
] as const)('%i with Retry-After %s: the outbox stays, nothing is asked before', async (status, _, headers) => {
  let asked = 0
  const busy = await serve((req, res) => {
    asked++
    req.resume()
    res.writeHead(status, { ...headers, 'content-type': 'application/problem+json' })
    res.end(JSON.stringify({ code: 'store-unavailable' }))
  })
  onTestFinished(() => busy.close())
  const a = device(busy.port, { retry: { min: 1, max: 1 } })
  await a.start()
  await tasks(a).put('t1', { title: 'x' })
  await until('it was told', PATIENCE_MS, async () => (a.status().state === 'offline' ? true : undefined))
  await tasks(a).put('t2', { title: 'x' })
  await expect(a.sync()).rejects.toMatchObject({ code: 'OFFLINE', retryAfter: 3_600_000 })
  const before = asked
  await new Promise((resolve) => setImmediate(resolve))
  expect(asked).toBe(before)
  expect(a.pending().count).toBe(2)
})

test('a proxy between that answers in HTML, cuts off, or redirects', async () => {
  const answers: ((res: ServerResponse) => void)[] = [
    (res) => res.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway'),
    (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome'),
    (res) => res.writeHead(200, { 'content-length': '1000' }).write('{"v":1', () => res.destroy()),
    (res) => res.destroy(),
    (res) => res.writeHead(204).end(),
    (res) => res.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
    (res) => res.writeHead(200).end('{"results":[],"cursor":7}'),
  ]
  let answer = answers[0]!
  const server = createServer((req, res) => {
    req.resume()
    answer(res)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(() => void server.close())
  const a = device((server.address() as { port: number }).port)
  await tasks(a).put('t1', { title: 'x' })
  for (answer of answers) {
    await expect(a.sync()).rejects.toMatchObject({ code: 'OFFLINE' })
    expect(a.pending().count).toBe(1)
  }
})
