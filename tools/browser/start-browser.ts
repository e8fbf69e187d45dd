import { chromium, type Browser as Connection, type BrowserContext, type Page } from 'playwright-core'
import { startChromium } from '../servers/chromium.ts'
import { bundleForBrowser } from './bundle.ts'
import { servePage } from './serve-page.ts'

/** Tabs of one profile, all with the same page. */
export interface Browser extends AsyncDisposable {
  /** A new tab, its script loaded: what the entry exports is the global `page` in `tab.evaluate(() => ...)`. */
  tab(): Promise<Page>
  /** What tabs complained of since it was last asked: uncaught errors, and what they wrote with `console.error`. */
  complaints(): string[]
  /** SIGKILL to all of the browser, and a new start with the same profile. Open tabs are lost. */
  crash(): Promise<void>
}

/** Starts Chromium, for pages of `entry`, a TypeScript file that is bundled as it is. */
export async function startBrowser(entry: string): Promise<Browser> {
  await using started = new AsyncDisposableStack() // stops what runs when the rest fails
  const page = started.use(await servePage(await bundleForBrowser(entry, 'page')))
  const server = started.use(await startChromium())
  const complaints: string[] = []
  let connection: Connection
  const connect = async (): Promise<BrowserContext> => {
    connection = await chromium.connectOverCDP(server.url)
    const profile = connection.contexts()[0]!
    profile.on('weberror', (found) => complaints.push(String(found.error().stack)))
    profile.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    return profile
  }
  let profile = await connect()
  started.defer(() => connection.close())
  const running = started.move()
  return {
    async tab() {
      const tab = await profile.newPage()
      await tab.goto(page.url)
      return tab
    },
    complaints: () => complaints.splice(0),
    async crash() {
      await server.kill()
      await server.restart()
      profile = await connect()
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}
