import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, type Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { startChromium } from '../../../tools/servers/chromium.ts'
import { startRedis } from '../../../tools/servers/redis.ts'
import { until } from '../../../tools/servers/until.ts'
import { client } from '../src/client.ts'
import { FRAMEWORKS } from '../src/environment.ts'
import { startNode } from '../src/node.ts'
import { openSystem } from '../src/system.ts'
import { shared } from './shared.ts'

const PATIENCE_MS = 60_000
const EVIL = `<script>document.title = 'owned'</script><img src="http://evil.example/x">`

/** A merchant whose receiver fails until it is well. */
async function startReceiver() {
  const heard: unknown[] = []
  const receiver = { isWell: false, heard, url: '', close: async () => {} }
  const server = createServer((request, response) => {
    if (receiver.isWell) heard.push(idOf(request))
    response.writeHead(receiver.isWell ? 204 : 500).end()
    request.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?for=${EVIL}`
  receiver.close = async () => {
    server.close()
    server.closeAllConnections()
  }
  return receiver
}

const idOf = ({ headers }: IncomingMessage): unknown => headers['webhook-id']

test('behind each framework: asked with a query, worked by a form of its own, and what was done is on record', async () => {
  await using stack = new AsyncDisposableStack()
  const system = stack.adopt(await openSystem({ ...shared }), (each) => each.close())
  const headers = { authorization: `Basic ${Buffer.from('ops:any').toString('base64')}` }
  for (const FRAMEWORK of FRAMEWORKS) {
    const { url, close } = await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK })
    stack.defer(close)
    const stranger = await fetch(`${url}/ops/`)
    expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(/^Basic /)])
    const asked = await fetch(`${url}/ops?see=explain&id=some-life`, { headers })
    expect([asked.status, await asked.text()]).toEqual([200, expect.stringContaining('value="some-life"')])

    const key = { scope: 'm1', op: 'POST /shipments', key: `form-${FRAMEWORK}` }
    const lost = system.idempotency.run({ ...key, guarantee: 'at-most-once' }, () => Promise.reject(new Error('lost')))
    await expect(lost).rejects.toThrow('lost')
    const body = new URLSearchParams({ ...key, by: '' })
    const send = (origin: string): Promise<Response> =>
      fetch(`${url}/ops?do=free-key`, {
        method: 'POST',
        redirect: 'manual',
        headers: { ...headers, origin },
        body,
      })
    expect((await send('http://evil.example')).status).toBe(403)
    const done = await send(url)
    expect([done.status, done.headers.get('location')]).toEqual([303, '?see=keys&done=freed'])
    expect(await system.idempotency.find(key)).toBeNull()
  }
  await system.audit.flush()
  const { entries } = await system.audit.query({ scope: '*', action: 'ops.manage' })
  expect(entries.map(({ actor, outcome, data }) => [actor.id, outcome, data['path']])).toEqual(
    FRAMEWORKS.flatMap(() => [
      ['ops', 'success', '/?do=free-key'],
      ['ops', 'failure', '/?do=free-key'],
    ]),
  )
}, 120_000)

// The browser may have to be installed.
test('an operator at the page: a dead delivery arrives, a stuck key runs, the log and a life are found, a dead store is seen', async () => {
  await using stack = new AsyncDisposableStack()
  const receiver = await startReceiver()
  stack.defer(() => receiver.close())
  const redis = stack.use(await startRedis())
  const settings = { ...shared, REDIS_URL: redis.url, WEBHOOK_ALLOW: '127.0.0.1/32' }
  const system = stack.adopt(await openSystem(settings), (each) => each.close())
  const node = stack.adopt(await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK: 'express' }), (each) =>
    each.close(),
  )
  const merchant = client(node.url, system.db)

  const browser = await chromium.connectOverCDP(stack.use(await startChromium()).url)
  stack.defer(() => browser.close())
  const profile = await browser.newContext({ httpCredentials: { username: 'ops', password: 'any' } })
  const asked: string[] = []
  profile.on('request', (request) => asked.push(new URL(request.url()).origin))
  const faults: string[] = []
  profile.on('weberror', (found) => faults.push(String(found.error())))
  profile.on('console', (line) => faults.push(line.text()))
  const page = await profile.newPage()
  page.setDefaultTimeout(PATIENCE_MS)

  /** Asks the page until it shows what has to come. */
  const shows = (query: string, text: string | RegExp): Promise<true> =>
    until(`${query} shows ${String(text)}`, PATIENCE_MS, async () => {
      await page.goto(`${node.url}/ops/${query}`)
      return (await page.getByText(text).first().isVisible()) || undefined
    })
  const notice = (role: 'status' | 'alert'): Promise<string> => page.getByRole(role).first().innerText()

  const endpoint = { url: receiver.url, types: ['shipment.*'], retry: { schedule: [0, '50ms'] } }
  expect((await merchant.webhooks('POST', '/endpoints', endpoint)).status).toBe(201)
  expect((await merchant.book('page-life-1', { to: EVIL })).status).toBe(201)

  await shows('?see=deliveries&scope=m1', 'exhausted')
  receiver.isWell = true
  await page.getByRole('button', { name: /^Send dl_\w+ again$/ }).click()
  expect(await notice('status')).toBe('The delivery goes again now.')
  await until('it arrives', PATIENCE_MS, async () => receiver.heard.length > 0 || undefined)

  const key = { scope: 'm1', op: 'POST /shipments', key: 'page-stuck-1', by: 'm1' }
  const lost = system.idempotency.run({ ...key, guarantee: 'at-most-once' }, () => Promise.reject(new Error('lost')))
  await expect(lost).rejects.toThrow('lost')
  expect((await merchant.book(key.key)).status).toBe(409)
  await shows('', 'unknown')
  // By keyboard alone.
  await page.getByRole('button', { name: /^Let POST \/shipments .* run again$/ }).focus()
  await page.keyboard.press('Enter')
  await until('it is said', PATIENCE_MS, async () => (await notice('status')) === 'The key may run again.' || undefined)
  expect((await merchant.book(key.key)).status).toBe(201)

  await shows('?see=entries&action=ops.*', 'ops.manage')
  await page.getByLabel('Action').fill('shipment.create')
  await page.getByLabel('Actor').fill('merchant:m1')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('link', { name: 'page-life-1' }).click()
  await life(page)
  // An id that is markup, in the box and in the URL.
  await page.getByLabel('Correlation id').fill(EVIL)
  await page.getByLabel('Correlation id').press('Enter')
  await page.waitForURL(/see=explain&id=%3Cscript/)
  expect(await page.getByLabel('Correlation id').inputValue()).toBe(EVIL)

  await redis.kill()
  void merchant.list('m1', '0').catch(() => {})
  await shows('', 'STORE_UNAVAILABLE')
  expect(await page.getByRole('row', { name: /^cache/ }).innerText()).toMatch(/degraded|down/)

  expect(await page.title()).toMatch(/^Keelson: /)
  expect(new Set(asked)).toEqual(new Set([node.url]))
  expect(faults).toEqual([])
}, 300_000)

/** What the explain box says of the booking. */
async function life(page: Page): Promise<void> {
  await page.waitForURL(/see=explain&id=page-life-1#explain$/)
  await page.getByText('audit.entry').waitFor()
}
