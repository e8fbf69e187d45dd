import express from 'express'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createExpress, type KeelsonExpress } from '@keelson/express'
import { createHttp, problem } from '@keelson/http'
import { until } from '../../../tools/servers/until.ts'
import { createAudit, entriesOf, memoryStore, type Audit } from '../../http/test/audit.ts'
import { frameworks, open, send, serve, type Served } from './support.ts'

const rule = { action: 'order.create' }
const as = (user: string) => ({ method: 'POST', path: '/orders', headers: [['Authorization', user] as const] })

describe.each(frameworks)('audited on $framework', ({ express: framework }) => {
  let audit: Audit
  let served: Served | undefined
  beforeEach(() => void (audit = createAudit({ store: memoryStore(), storeTimeout: '10s' })))
  afterEach(async () => {
    await served?.close()
    await audit.close()
  })

  async function start(routes: (app: ReturnType<typeof express>, k: KeelsonExpress) => unknown): Promise<number> {
    const user = (raw: unknown): string | undefined => (raw as { user?: string }).user
    const http = createHttp({
      audit,
      scope: () => 'acme',
      principal: ({ raw }) => (user(raw) === undefined ? undefined : { id: user(raw)! }),
    })
    const k = createExpress(http)
    const app = framework()
    app.use(k.context(), framework.json())
    routes(app, k)
    app.use(k.errors())
    served = await serve(app)
    return served.port
  }

  /** The application's own, which answers by itself. */
  const authenticate: express.RequestHandler = (req, res, next) => {
    const user = req.get('authorization')
    if (user === undefined) return void res.status(401).send('who?')
    if (user === 'eve') return void res.sendStatus(403)
    next(void Object.assign(req, { user }))
  }
  const told = async (): Promise<unknown[]> =>
    (await entriesOf(audit)).map(({ actor, outcome, where, data }) => [
      actor.id,
      outcome,
      where?.route,
      data['status'] ?? null,
    ])

  it('tells of what authentication refuses behind the early part of the policy', async () => {
    const policy = { audited: rule }
    const port = await start((app, k) => {
      app.post('/orders', k.early(policy), authenticate, k.route(policy), (_req, res) => void res.sendStatus(201))
    })
    expect((await send(port, { ...as(''), headers: [] })).status).toBe(401)
    expect((await send(port, as('eve'))).status).toBe(403)
    expect((await send(port, as('ann'))).status).toBe(201)
    await until('the entries of both refusals', 60_000, async () => ((await told()).length === 3 ? true : undefined))
    expect((await told()).toSorted()).toEqual([
      ['ann', 'success', '/orders', 201],
      ['anonymous', 'failure', '/orders', 401],
      ['anonymous', 'failure', '/orders', 403],
    ])
  })

  it('tells of what a handler throws, by the answer of whoever answers it', async () => {
    const port = await start((app, k) => {
      app.post('/orders', authenticate, k.audited(rule), (req, _res, next) =>
        next(req.query['own'] === undefined ? problem(404, 'none') : new Error('mine')),
      )
      app.use(((error, _req, res, next) =>
        error.message === 'mine' ? void res.status(418).end() : next(error)) as express.ErrorRequestHandler)
    })
    expect((await send(port, as('ann'))).status).toBe(404)
    expect((await send(port, { ...as('ann'), path: '/orders?own' })).status).toBe(418)
    expect(await told()).toEqual([
      ['ann', 'failure', '/orders', 404],
      ['ann', 'failure', '/orders', 418],
    ])
  })

  it('tells of a client that leaves during the handler', async () => {
    const entered = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const port = await start((app, k) => {
      app.post('/orders', authenticate, k.audited(rule), (req, res) => {
        req.socket.once('close', () => left.resolve())
        entered.resolve()
        void go.promise.then(() => res.sendStatus(201))
      })
    })
    const socket = open(port, as('ann'), 0)
    await entered.promise
    socket.destroy()
    await left.promise
    go.resolve()
    await until('the entry', 60_000, async () => ((await told()).length === 1 ? true : undefined))
    expect(await told()).toEqual([['ann', 'success', '/orders', 201]])
  })
})
