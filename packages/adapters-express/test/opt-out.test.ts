import type { Express } from 'express'
import { afterEach, describe, expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import { createExpress } from '@keelson/express'
import { frameworks, sendRaw, serve, type Served } from './support.ts'
import { zoo } from './zoo.ts'

/** All that a mounted adapter adds to an answer; and its date. */
const ADDED = /^(x-correlation-id|x-response-time|traceparent|date): .*\r\n/gim

describe.each(frameworks)('without a policy, $framework answers as it would alone', ({ express }) => {
  const running: Served[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })

  /** A route for each animal of the zoo. */
  async function start(mount: (app: Express) => void): Promise<number> {
    const app = express()
    app.set('env', 'test') // no error in the console
    mount(app)
    for (const { name, handler } of zoo) app.all(`/${encodeURIComponent(name)}`, handler)
    const one = await serve(app)
    running.push(one)
    return one.port
  }

  it('on each of its routes: status, own headers in their order, every byte', async () => {
    expect(zoo.length).toBeGreaterThan(30)
    const bare = await start(() => {})
    const mounted = await start((app) => void app.use(createExpress(createHttp()).context()))
    for (const { name, method = 'POST' } of zoo) {
      const given = { method, path: `/${encodeURIComponent(name)}` }
      const [plain, ours] = [await sendRaw(bare, given), await sendRaw(mounted, given)]
      expect(own(ours), name).toBe(own(plain))
      expect(ours.toString('latin1'), name).toMatch(/^X-Correlation-ID: /im)
    }
  })
})

/** Every byte but the date and what is added. */
function own(raw: Buffer): string {
  return raw.toString('latin1').replaceAll(ADDED, '')
}
