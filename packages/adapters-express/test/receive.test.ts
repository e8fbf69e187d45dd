import { randomUUID } from 'node:crypto'
import { sign as signOctokit } from '@octokit/webhooks-methods'
import express from 'express'
import { Webhook } from 'standardwebhooks'
import { Stripe } from 'stripe'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createExpress } from '@keelson/express'
import { createHttp, received } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { generateSecret } from '@keelson/webhooks'
import { github, standard, stripe, type Verifier } from '@keelson/webhooks/verify'
import { serve, type Served } from './support.ts'

/** A sender as its own library signs: the headers of one delivery. */
interface Sender {
  readonly verifier: Verifier
  headers(id: string, body: string): Promise<Record<string, string>>
}

const secret = generateSecret()
const SECRET = 'a secret of both sides'
const senders: Record<string, Sender> = {
  standardwebhooks: {
    verifier: standard({ secrets: [secret] }),
    async headers(id, body) {
      const at = new Date()
      const signature = new Webhook(secret).sign(id, at, body)
      return {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
        'webhook-signature': signature,
      }
    },
  },
  stripe: {
    verifier: stripe({ secrets: [SECRET] }),
    headers: async (_, payload) => ({
      'stripe-signature': await Stripe.webhooks.generateTestHeaderStringAsync({ payload, secret: SECRET }),
    }),
  },
  octokit: {
    verifier: github({ secrets: [SECRET] }),
    headers: async (id, body) => ({
      'x-github-delivery': id,
      'x-github-event': 'push',
      'x-hub-signature-256': await signOctokit(SECRET, body),
    }),
  },
}

const seen: unknown[] = []
let app: Served

beforeAll(async () => {
  const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }) })
  const k = createExpress(http)
  const routes = express()
  // The parser stands where it always stands.
  routes.use(k.context(), express.json())
  for (const [source, { verifier }] of Object.entries(senders)) {
    routes.post(`/${source}`, k.receive({ verifier, source, scope: 'public' }), (req, res) => {
      const event = received()!
      seen.push([source, event.id, event.type, event.json()])
      if ((req.body as { fail?: boolean }).fail === true) res.sendStatus(500)
      else res.status(202).json(req.body)
    })
  }
  routes.use(k.errors())
  app = await serve(routes)
})
afterAll(() => app.close())

describe.each(Object.keys(senders))('%s', (source) => {
  const deliver = async (id: string, body: string, sent = body): Promise<Response> =>
    fetch(`http://127.0.0.1:${app.port}/${source}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(await senders[source]!.headers(id, body)) },
      body: sent,
    })
  const runs = (): number => seen.filter((one) => (one as unknown[])[0] === source).length
  const message = (id: string, more = ''): string =>
    `{ "id":"${id}", "type":"push", "name":"Zo\\u00eb 📦", "n":1.0${more} }`

  test('what its library signs is handled once; a redelivery gets the first answer', async () => {
    const id = randomUUID()
    const [first, again] = [await deliver(id, message(id)), await deliver(id, message(id))]
    expect([first.status, again.status, again.headers.get('idempotent-replayed')]).toEqual([202, 202, 'true'])
    expect(await again.text()).toBe(await first.text())
    expect(seen.filter((one) => (one as unknown[])[1] === id)).toEqual([
      [source, id, 'push', { id, type: 'push', name: 'Zoë 📦', n: 1 }],
    ])
  })

  test('another body under the same signature is refused, and nothing runs', async () => {
    const id = randomUUID()
    const before = runs()
    const forged = await deliver(id, message(id), message(id).replace('push', 'pull'))
    expect([forged.status, ((await forged.json()) as { code: string }).code]).toEqual([401, 'no-match'])
    const printed = await deliver(id, message(id), JSON.stringify(JSON.parse(message(id))))
    expect([printed.status, runs()]).toEqual([401, before])
  })

  test('one that was not handled comes again', async () => {
    const id = randomUUID()
    const body = message(id, ', "fail":true')
    const before = runs()
    expect([(await deliver(id, body)).status, (await deliver(id, body)).status, runs() - before]).toEqual([500, 500, 2])
  })
})
