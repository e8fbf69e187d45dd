import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundleForBrowser } from '../../browser/bundle.ts'
import { startBrowser, type Browser } from '../../browser/start-browser.ts'
import { until } from '../../servers/until.ts'

declare const page: typeof import('./page.ts')

let browser: Browser
// The first one may have to install it.
beforeAll(async () => void (browser = await startBrowser(join(import.meta.dirname, 'page.ts'))), 300_000)
afterAll(async () => await browser[Symbol.asyncDispose]())

it('runs a page of TypeScript in a secure context, with Web Locks, and without a complaint', async () => {
  const tab = await browser.tab()
  expect(await tab.evaluate(() => page.see())).toEqual({ secure: true, lock: 'mine' })
  expect(browser.complaints()).toEqual([])
})

it('tells what a tab wrote as an error, and what it did not catch, once', async () => {
  const tab = await browser.tab()
  await tab.evaluate(() => page.complain())
  const seen: string[] = []
  await until('both complaints', 60_000, async () => {
    seen.push(...browser.complaints())
    return seen.length >= 2 ? true : undefined
  })
  expect(seen.toSorted()).toEqual([expect.stringMatching(/^Error: nobody caught this/), 'this went wrong'])
})

it('is back after a SIGKILL, which no tab survives', async () => {
  const tab = await browser.tab()
  const gone = tab.waitForEvent('close')
  await browser.crash()
  await gone
  expect(await (await browser.tab()).evaluate(() => page.see())).toMatchObject({ lock: 'mine' })
})

it('refuses to bundle what no browser has', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-bundle-'))
  const entry = join(folder, 'entry.ts')
  await writeFile(entry, "import { readFileSync } from 'node:fs'\nconsole.log(readFileSync)\n")
  await expect(bundleForBrowser(entry, 'page')).rejects.toThrow(/node:fs/)
  await rm(folder, { recursive: true })
})
