import { chromium, type Locator, type Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { startChromium } from '../../../tools/servers/chromium.ts'
import { freePort } from '../../../tools/servers/free-port.ts'
import { until } from '../../../tools/servers/until.ts'
import { client } from '../src/client.ts'
import { startNode } from '../src/node.ts'
import { openSystem } from '../src/system.ts'
import { shared } from './shared.ts'

const PATIENCE_MS = 60_000

const says = (what: string, locator: Locator, text: string): Promise<true> =>
  until(what, PATIENCE_MS, async () => (await locator.textContent()) === text || undefined)
const holds = (what: string, locator: Locator, text: string): Promise<true> =>
  until(what, PATIENCE_MS, async () => (await locator.inputValue()) === text || undefined)

// The browser may have to be installed.
test('a note without a network: one to be sent, also behind a reload; none when the server is back, and the other courier has it', async () => {
  await using stack = new AsyncDisposableStack()
  const system = stack.adopt(await openSystem({ ...shared, STORE_TIMEOUT: '30s' }), (each) => each.close())
  const place = { PORT: await freePort(), HOST: '127.0.0.1', FRAMEWORK: 'express' } as const
  let node = await startNode(system, place)
  stack.defer(() => node.close())
  const { url } = node
  expect((await client(url, system.db).book('page-1', { to: 'Marsh Lane 1' })).status).toBe(201)

  const browser = await chromium.connectOverCDP(stack.use(await startChromium()).url)
  stack.defer(() => browser.close())
  const profile = browser.contexts()[0]!
  const errors: string[] = []
  profile.on('weberror', (found) => errors.push(String(found.error().stack)))
  const open = async (courier: string): Promise<{ page: Page; note: Locator; pending: Locator; state: Locator }> => {
    const page = await profile.newPage()
    await page.goto(`${url}/courier/?as=${courier}`)
    const note = page.getByLabel('Note for Marsh Lane 1')
    await note.waitFor({ timeout: PATIENCE_MS })
    return { page, note, pending: page.locator('#pending'), state: page.locator('#state') }
  }
  const [c1, c2] = [await open('c1'), await open('c2')]
  // From here on the page opens without a network.
  await c1.page.evaluate('navigator.serviceWorker.ready.then(() => null)')

  await node.close()
  await c1.note.fill('ring twice')
  await c1.note.press('Enter')
  await says('it is to be sent', c1.pending, '1')
  await c1.page.reload()
  await holds('the note is kept', c1.note, 'ring twice')
  await says('it is still to be sent', c1.pending, '1')
  await says('the page knows', c1.state, 'offline')
  expect(await c2.note.inputValue()).toBe('')

  node = await startNode(system, place)
  await says('nothing is to be sent', c1.pending, '0')
  await holds('the other courier has it', c2.note, 'ring twice')
  expect(errors).toEqual([])
}, 300_000)
