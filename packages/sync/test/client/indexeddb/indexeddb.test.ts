import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { indexedDbStore } from '@keelson/sync/client/indexeddb'
import { startBrowser, type Browser } from '../../../../../tools/browser/start-browser.ts'
import { syncClientStoreSuite } from '../../../src/conformance/sync-client-store-suite.ts'
import { until } from '../../../../../tools/servers/until.ts'

declare const page: typeof import('./page.ts')

const PATIENCE_MS = 120_000
const MANY = 5_000

let browser: Browser
// The first one may have to install it.
beforeAll(async () => void (browser = await startBrowser(join(import.meta.dirname, 'page.ts'))), 300_000)
afterAll(async () => await browser[Symbol.asyncDispose]())
afterEach(() => expect(browser.complaints()).toEqual([]))

it('loses no update of two tabs, and tells each what the other has written', async () => {
  const tabs = [await browser.tab(), await browser.tab()] as const
  for (const tab of tabs) expect(await tab.evaluate(() => page.load('counter'))).toEqual([])
  await Promise.all([
    tabs[0].evaluate(() => page.count('counter', 100, 'first/')),
    tabs[1].evaluate(() => page.count('counter', 100, 'second/')),
  ])
  for (const [i, other] of ['second/', 'first/'].entries()) {
    expect(await tabs[i]!.evaluate(() => page.read('counter', 'n'))).toEqual([200])
    const told = await until('all is told', PATIENCE_MS, async () => {
      const told = await tabs[i]!.evaluate(() => page.told('counter'))
      return told.length >= 200 ? told : undefined
    })
    const expected = Array.from({ length: 100 }, (_, i) => ['n', `${other}${i}`]).flat()
    expect(told.toSorted()).toEqual(expected.toSorted())
  }
})

it('has all that resolved before a SIGKILL of the browser, and no half of anything', async () => {
  const resolved = new Set<number>()
  let from = 0
  for (let round = 0; round < 3; round++) {
    const tab = await browser.tab()
    tab.on('console', (message) => resolved.add(Number(message.text().slice('resolved '.length))))
    await tab.evaluate((from) => page.writePairs('killed', from), from)
    const enough = resolved.size + 20 + 30 * round
    await until('enough has resolved', PATIENCE_MS, async () => (resolved.size >= enough ? true : undefined))
    await browser.crash()

    const after = await browser.tab()
    const found = new Map(await after.evaluate(() => page.load('killed')))
    const missing = [...resolved].filter((i) => !found.has(`left/${i}`))
    expect(missing).toEqual([])
    const written = [...found.keys()].map((key) => Number(key.split('/')[1]))
    for (const i of written) expect(found.get(`left/${i}`), `${i}`).toEqual(found.get(`right/${i}`))
    expect(found.get(`left/${Math.max(...resolved)}`)).toMatchObject({ own: Math.max(...resolved) })
    from = Math.max(...written) + 1
  }
})

it('has what resolved on the disk, not only with the operating system', async () => {
  const tab = await browser.tab()
  expect(await tab.evaluate(() => page.durabilityOfWrite('durable'))).toBe('strict')
})

it('rejects what there is no room for, keeps what was there, and goes on when there is room', async () => {
  // Chromium remembers for a while that there was room.
  await browser.crash()
  const tab = await browser.tab()
  const cdp = await tab.context().newCDPSession(tab)
  const { origin } = new URL(tab.url())
  await cdp.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' })
  await cdp.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1_000_000 })
  await tab.evaluate(() => page.write('full', ['n', 1]))
  const refused = tab.evaluate(() => page.writeMuch('full', 2_000_000))
  await expect(refused).rejects.toThrow(/IndexedDB keelson-sync:full: QuotaExceededError/)
  expect(await tab.evaluate(() => page.load('full'))).toEqual([['n', 1]])
  await tab.evaluate(() => page.write('full', ['n', 2]))

  await cdp.send('Storage.overrideQuotaForOrigin', { origin })
  await tab.evaluate(() => page.writeMuch('full', 2_000_000))
  expect(await tab.evaluate(() => page.read('full', 'n'))).toEqual(['of what is refused'])
})

it('writes nothing of a call when the browser refuses one of its values', async () => {
  const tab = await browser.tab()
  await expect(tab.evaluate(() => page.writeHalfGood('half'))).rejects.toThrow(/DataCloneError/)
  expect(await tab.evaluate(() => page.load('half'))).toEqual([])
})

it('does what was asked of it before it is closed', async () => {
  const tab = await browser.tab()
  expect(await tab.evaluate(() => page.closeBehind('ended', 20))).toBe(20)
  expect(await tab.evaluate(() => page.load('ended'))).toHaveLength(20)
})

it('tells what was written even when the tab that wrote it hangs, or dies, before it hears of it', async () => {
  const [writer, tab] = [await browser.tab(), await browser.tab()]
  await tab.evaluate(() => page.load('hung'))
  await writer.evaluate(() => page.load('hung'))
  const hung = writer.evaluate(() => page.writeAndHang('hung', ['n', 7])).catch(() => {})
  await until('it is told', PATIENCE_MS, async () => {
    const told = await tab.evaluate(() => page.told('hung'))
    return told.includes('n') ? true : undefined
  })
  expect(await tab.evaluate(() => page.read('hung', 'n'))).toEqual([7])
  // No tab that hangs can be closed otherwise.
  await browser.crash()
  await hung
  expect(await (await browser.tab()).evaluate(() => page.load('hung'))).toEqual([['n', 7]])
})

it('gives way to who removes the database, and opens a new one', async () => {
  const [tab, other] = [await browser.tab(), await browser.tab()]
  await tab.evaluate(() => page.write('removed', ['a', 1]))
  await other.evaluate(() => page.removeDatabase('removed'))
  expect(await tab.evaluate(() => page.read('removed', 'a'))).toEqual([undefined])
  await tab.evaluate(() => page.write('removed', ['a', 2]))
  expect(await other.evaluate(() => page.load('removed'))).toEqual([['a', 2]])
})

it('opens again what the browser has closed', async () => {
  const tab = await browser.tab()
  await tab.evaluate(() => page.write('closed', ['a', 1]))
  const cdp = await tab.context().newCDPSession(tab)
  await cdp.send('Storage.clearDataForOrigin', { origin: new URL(tab.url()).origin, storageTypes: 'indexeddb' })
  await tab.evaluate(() => page.write('closed', ['b', 2]))
  expect(await tab.evaluate(() => page.load('closed'))).toEqual([['b', 2]])
})

it('leaves alone what a later version of it has opened, and says which database it is', async () => {
  const [tab, later] = [await browser.tab(), await browser.tab()]
  await tab.evaluate(() => page.write('later', ['a', 1]))
  await later.evaluate(() => page.openLaterVersion('later'))
  const refused = tab.evaluate(() => page.write('later', ['a', 2]))
  await expect(refused).rejects.toThrow(/IndexedDB keelson-sync:later: VersionError/)
})

it('takes in at most a thousand entries at once: the page lives while it loads', async () => {
  const tab = await browser.tab()
  await tab.evaluate(async (many) => {
    const changes = Array.from({ length: many }, (_, i) => [`o ${i}`, { i }] as const)
    await page.write('many', ...changes)
  }, MANY)
  expect(await tab.evaluate(() => page.loadInPieces('many'))).toEqual({ loaded: MANY, largest: 1_000 })
})

it('is made on a server too, which renders the app, and there refuses by its name to do anything', async () => {
  const store = indexedDbStore('server')
  await expect(store.load()).rejects.toThrow(/^IndexedDB keelson-sync:server: TypeError/)
  await store.close()
})

describe(syncClientStoreSuite.name, () => {
  const has = ['kept', 'tabs']
  // To write them keeps Chromium busy for half a minute.
  const long = process.env['LONG'] === '1' ? '' : 'a hundred thousand keys are loaded'
  let tab: Page
  beforeAll(async () => void (tab = await browser.tab()))
  for (const { name, needs = [] } of syncClientStoreSuite.cases) {
    if (name === long || !needs.every((need) => has.includes(need))) continue
    it(name, async () => {
      const seed = Math.floor(Math.random() * 2 ** 31)
      await tab.evaluate(([name, has, seed]) => page.runCase(name, has, seed), [name, has, seed] as const)
    })
  }
})
