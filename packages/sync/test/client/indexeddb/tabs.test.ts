import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createSync, memoryStore, type PullRequest, type PushRequest } from '@keelson/sync'
import { startBrowser, type Browser } from '../../../../../tools/browser/start-browser.ts'
import { until } from '../../../../../tools/servers/until.ts'

declare const page: typeof import('./tabs-page.ts')

const PATIENCE_MS = 120_000
const who = { principal: { id: 'ann' } }

let browser: Browser
let url: string
let isUp = true
/** Operations that `apply` was given, each as often as it was. */
let applied: string[] = []
let name = ''

const sync = createSync({
  store: memoryStore(),
  storeTimeout: '30s',
  scopes: () => [`acme/${name}`],
  collections: {
    task: {
      fields: { by: 'lww', text: 'lww' },
      scope: () => `acme/${name}`,
      apply: async (_, wins) => void applied.push(...wins.map(({ op }) => op)),
    },
  },
})

/** Another origin than the page's. */
const server = createServer((request, response) => {
  void (async () => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    if (request.method === 'OPTIONS') return response.end()
    const body: unknown = JSON.parse(await text(request))
    if (!isUp) return response.writeHead(503).end('{}')
    if (request.url !== '/push') return response.end(JSON.stringify(await sync.pull(who, body as PullRequest)))
    return response.end(JSON.stringify(await sync.push(who, body as PushRequest)))
  })().catch(() => response.destroy())
})

// The first one may have to install it.
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  browser = await startBrowser(join(import.meta.dirname, 'tabs-page.ts'))
}, 300_000)
afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  server.closeAllConnections()
  server.close()
  await sync.close()
})
beforeEach(() => {
  ;[isUp, applied, name] = [true, [], `tabs-${crypto.randomUUID()}`]
})

async function openTab(locks = true): Promise<Page> {
  const tab = await browser.tab()
  await tab.evaluate(([name, url, locks]) => page.open(name, url, locks), [name, url, locks] as const)
  return tab
}
const told = (tab: Page) => tab.evaluate(() => page.told())
const shown = (tab: Page) => tab.evaluate(() => page.shown())
const edit = (tab: Page, from: number, count: number, by: string) =>
  tab.evaluate(([from, count, by]) => page.edit(from, count, by), [from, count, by] as const)

/** Nothing is pending in any of them, and what they made has settled. */
async function quiet(tabs: readonly Page[], ops: readonly string[]): Promise<void> {
  await until('all is sent', PATIENCE_MS, async () => {
    const pending = await Promise.all(tabs.map((tab) => tab.evaluate(() => page.state())))
    const settled = (await Promise.all(tabs.map(told))).flatMap((one) => one.settled)
    return (pending.every((one) => one.pending === 0) && ops.every((op) => settled.includes(op))) || undefined
  })
}

it('of two tabs one sends for both, each hears of its own edits, and the other takes over', async () => {
  const [first, second] = [await openTab(), await openTab()]
  const ops = (await Promise.all([edit(first, 0, 20, 'first'), edit(second, 10, 20, 'second')])).flat()
  await quiet([first, second], ops)
  expect(await told(first)).toMatchObject({ pushes: expect.any(Number) })
  expect((await told(first)).pushes).toBeGreaterThan(0)
  expect((await told(second)).pushes).toBe(0)
  expect(applied.toSorted()).toEqual(ops.toSorted())
  const ids = Array.from({ length: 30 }, (_, i) => `t${i}`).toSorted()
  for (const tab of [first, second]) {
    await until('all is watched', PATIENCE_MS, async () => (await told(tab)).watched.length === 30 || undefined)
    expect((await told(tab)).watched.toSorted()).toEqual(ids)
  }
  expect((await shown(first)).toSorted()).toEqual((await shown(second)).toSorted())

  await first.close()
  const more = await edit(second, 0, 3, 'second')
  await quiet([second], more)
  expect((await told(second)).pushes).toBeGreaterThan(0)
  expect(new Set(applied).size).toBe(applied.length)
})

it('a reload, and a SIGKILL of the browser, keep the outbox, in its order', async () => {
  isUp = false
  const [first, second] = [await openTab(), await openTab()]
  const ops = [...(await edit(first, 0, 5, 'a')), ...(await edit(second, 0, 5, 'b'))]
  await first.reload()
  await first.evaluate(([name, url]) => page.open(name, url, true), [name, url] as const)
  expect((await first.evaluate(() => page.outbox())).toSorted()).toEqual(ops.toSorted())
  await browser.crash()
  isUp = true
  const after = await openTab()
  await until('all is sent', PATIENCE_MS, async () => {
    const { pending } = await after.evaluate(() => page.state())
    return pending === 0 || undefined
  })
  expect(applied.toSorted()).toEqual(ops.toSorted())
  expect((await shown(after)).map(([, by]) => by)).toEqual(['b', 'b', 'b', 'b', 'b'])
})

it('without Web Locks several send, and that is harmless', async () => {
  const tabs = [await openTab(false), await openTab(false), await openTab(false)]
  const ops = (await Promise.all(tabs.map((tab, i) => edit(tab, i * 10, 10, `tab ${i}`)))).flat()
  await quiet(tabs, ops)
  expect(applied.toSorted()).toEqual(ops.toSorted())
  const expected = Array.from({ length: 30 }, (_, i) => [`t${i}`, `tab ${Math.floor(i / 10)}`]).toSorted()
  for (const tab of tabs) {
    await until('all is shown', PATIENCE_MS, async () => (await shown(tab)).length === 30 || undefined)
    expect((await shown(tab)).toSorted()).toEqual(expected)
    expect(await tab.evaluate(() => page.state())).toEqual({ pending: 0, issues: 0 })
  }
})

it('the data of the site is cleared under a page: what it has not sent is sent', async () => {
  isUp = false
  const tab = await openTab()
  const ops = await edit(tab, 0, 5, 'a')
  const cdp = await tab.context().newCDPSession(tab)
  await cdp.send('Storage.clearDataForOrigin', { origin: new URL(tab.url()).origin, storageTypes: 'indexeddb' })
  const more = await edit(tab, 5, 2, 'b')
  isUp = true
  await quiet([tab], [...ops, ...more])
  expect(applied.toSorted()).toEqual([...ops, ...more].toSorted())
})
