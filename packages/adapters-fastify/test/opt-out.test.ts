import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
import { sendRaw } from '../../http/test/wire.ts'
import { zoo } from './zoo.ts'

/** All that the plugin adds to an answer; and its date. */
const ADDED = /^(x-correlation-id|x-response-time|traceparent|date): .*\r\n/gim

const running: FastifyInstance[] = []
afterEach(async () => {
  for (const app of running.splice(0)) await app.close()
})

/** A route for each animal of the zoo. */
async function start(mount: (app: FastifyInstance) => Promise<void>): Promise<number> {
  const app = Fastify({ forceCloseConnections: true })
  running.push(app)
  await mount(app)
  for (const [i, { method = 'POST', handler }] of zoo.entries()) app.route({ method, url: `/${i}`, handler })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

it('without a policy each route answers as it would alone: status, own headers in their order, every byte', async () => {
  expect(zoo.length).toBeGreaterThan(30)
  const bare = await start(async () => {})
  const mounted = await start(async (app) => {
    await app.register(keelson, { http: createHttp() })
  })
  const own = (raw: Buffer): string => raw.toString('latin1').replaceAll(ADDED, '')
  for (const [i, { name, method = 'POST' }] of [...zoo, { name: 'no route', method: 'GET' }].entries()) {
    const given = { method, path: `/${i}` }
    const [plain, ours] = [await sendRaw(bare, given), await sendRaw(mounted, given)]
    expect(own(ours), name).toBe(own(plain))
    expect(ours.toString('latin1'), name).toMatch(/^X-Correlation-ID: /im)
  }
})
