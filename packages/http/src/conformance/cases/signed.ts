import { setTimeout as sleep } from 'node:timers/promises'
import { requestSigner, requestVerifier, type RequestVerifier } from '@keelson/webhooks/request-signing'
import { memoryInbox } from '@keelson/webhooks/verify'
import type { Case } from '@keelson/kernel/conformance'
import { createLimiter } from '@keelson/resilience/limiter'
import { virtualClock } from '@keelson/kernel/testing'
import type { Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { look } from '../sample.ts'
import { httpCase, linesOf, MOMENT_MS, route } from '../stage.ts'

/** Keys of two users of one tenant, and one of nobody in particular. */
const KEYS: Readonly<Record<string, { key: string; principal?: string; scope?: string }>> = {
  'key-eve': { key: 'eve’s secret, long enough', principal: 'eve', scope: 'acme' },
  'key-max': { key: 'max’s secret, long enough', principal: 'max', scope: 'acme' },
  'key-own': { key: 'a secret, also long enough' },
}

const verifier = (): RequestVerifier =>
  requestVerifier({
    keys: (keyId) => (Object.hasOwn(KEYS, keyId) ? { alg: 'hmac-sha256', ...KEYS[keyId]! } : null),
    nonces: memoryInbox(),
  })

/** A request that is signed as it is. */
function signedBy(keyId: string, { method = 'POST', path = '/json', headers = [], body = '' }: Given = {}): Given {
  const signer = requestSigner({ keyId, key: { alg: 'hmac-sha256', key: KEYS[keyId]!.key } })
  const signature = signer.sign({ method, url: `http://test${path}`, body })
  return { method, path, headers: [...headers, ...Object.entries(signature)], body }
}

const JSON_TYPE = ['Content-Type', 'application/json'] as const
const ANN = ['Authorization', 'Bearer ann'] as const

/** Requests that users have signed (RFC 9421). */
export const signedCases: readonly Case<HttpSubject>[] = [
  httpCase('who has signed is the principal, and the key’s scope is the tenant', async ({ serve, tenant, equal }) => {
    const seen: unknown[] = []
    const json = route('json', {
      policy: { signed: { verifier: verifier() } },
      onEnter: () => void seen.push(look().slice(1)),
    })
    const site = await serve([json])
    for (const keyId of ['key-eve', 'key-own']) {
      // What else the request says of its user does not count.
      equal((await site.send(signedBy(keyId, { headers: [ANN, JSON_TYPE], body: '{ "a" : 1 }' }))).status, 201)
    }
    equal(seen, [
      ['acme', 'eve'],
      [tenant, 'key-own'],
    ])
  }),

  httpCase('every part that is signed counts, and nothing runs for a request that is not', async ({ serve, equal }) => {
    const json = route('json', { path: '/items/:id', policy: { signed: { verifier: verifier() }, idempotent: {} } })
    const site = await serve([json])
    const path = '/items/a%20b?q=1&q=c+d'
    const good = (): Given =>
      signedBy('key-eve', { path, headers: [JSON_TYPE, ['Idempotency-Key', 'k1']], body: '{"a":1}' })
    const sent = good()
    const swapped = (name: string, value: string): Given => ({
      ...sent,
      headers: sent.headers!.map((line) => (line[0] === name ? ([name, value] as const) : line)),
    })
    const bad: [Given, string][] = [
      [{ ...sent, body: '{"a":2}' }, 'digest-mismatch'],
      [{ ...sent, path: '/items/a%20c?q=1&q=c+d' }, 'no-match'],
      [{ ...sent, path: '/items/a%20b?q=c+d&q=1' }, 'no-match'],
      [{ ...sent, path: '/items/a%20b?q=1&q=c%20d' }, 'no-match'],
      [{ ...sent, path: '/items/a%20b' }, 'no-match'],
      [{ ...sent, headers: [JSON_TYPE] }, 'missing-header'],
      [
        { ...sent, headers: [...sent.headers!, sent.headers!.find(([name]) => name === 'signature')!] },
        'malformed-header',
      ],
      [swapped('signature', `sig1=:${'A'.repeat(43)}=:`), 'no-match'],
      [swapped('content-digest', `sha-256=:${'A'.repeat(43)}=:`), 'no-match'],
      [
        swapped(
          'signature-input',
          sent.headers!.find(([name]) => name === 'signature-input')![1].replace('key-eve', 'key-bob'),
        ),
        'unknown-key',
      ],
    ]
    for (const [given, code] of bad) {
      const refused = await site.send(given)
      equal([refused.status, refused.json()['code']], [401, code])
    }
    equal([json.runs, site.watched.begins], [0, 0])
    // None of them has used the nonce up.
    equal((await site.send(sent)).status, 201)
  }),

  httpCase('a signed request is good once', async ({ serve, equal, together }) => {
    const json = route('json', { policy: { signed: { verifier: verifier() } } })
    const site = await serve([json])
    const sent = signedBy('key-eve')
    const answers = await together(8, () => site.send(sent))
    equal(answers.filter(({ status }) => status === 201).length, 1)
    equal(answers.filter(({ status }) => status === 401).length, 7)
    const replayed = await site.send(sent)
    equal([replayed.status, replayed.json()['code'], json.runs], [401, 'replayed', 1])
  }),

  httpCase('the query is signed as it was sent, and a request may have no body', async ({ serve, equal }) => {
    const text = route('text', { method: 'GET', path: '/items/:id', policy: { signed: { verifier: verifier() } } })
    const site = await serve([text])
    const paths = ['/items/1', '/items/1?', '/items/1?a', '/items/1?a=%20+%2B&b==&&c=%C3%B6', '/items/%31?%61=1']
    for (const path of paths)
      equal([path, (await site.send(signedBy('key-eve', { method: 'GET', path }))).status], [path, 200])
  }),

  httpCase('keys, limits and cached answers belong to who has signed', async ({ serve, key, equal }) => {
    const signed = { verifier: verifier() }
    const limiter = (): ReturnType<typeof createLimiter> =>
      createLimiter({ name: 'suite', quotas: { name: 'minute', limit: 2, per: '1m' }, clock: virtualClock() })
    const json = route('json', { policy: { signed, idempotent: {}, rateLimit: { limiter: 'api' } } })
    const text = route('text', {
      method: 'GET',
      path: '/text',
      policy: { signed, cached: { ttl: '10m', per: 'principal' } },
    })
    const site = await serve([json, text], { http: { limiters: { api: limiter() } } })
    const mine = ['Idempotency-Key', key()] as const
    const statuses = async (keyIds: readonly string[]): Promise<number[]> => {
      const all = []
      for (const keyId of keyIds) all.push((await site.send(signedBy(keyId, { headers: [mine, ANN] }))).status)
      return all
    }
    equal(await statuses(['key-eve', 'key-eve', 'key-max', 'key-eve']), [201, 201, 201, 429])
    equal(json.runs, 2)
    for (const keyId of ['key-eve', 'key-eve', 'key-max']) {
      equal((await site.send(signedBy(keyId, { method: 'GET', path: '/text', headers: [ANN] }))).status, 200)
    }
    equal(text.runs, 2)
  }),

  httpCase('who leaves in the middle of a signed request has not used it up', async (stage) => {
    const { serve, equal, until } = stage
    const json = route('json', { policy: { signed: { verifier: verifier() } } })
    const site = await serve([json])
    const body = JSON.stringify({ text: 'x'.repeat(50_000) })
    const sent = signedBy('key-eve', { headers: [JSON_TYPE], body })
    const parts = [0, 1, 20_000, body.length - 1]
    for (const [i, bytes] of parts.entries()) {
      const connection = site.open({ ...sent, body: '', length: body.length })
      connection.socket.write(body.slice(0, bytes))
      await until('the request begins', () => linesOf(site.log, 'began').length > i)
      await sleep(MOMENT_MS)
      connection.leave()
    }
    await until('the end of each request', () => linesOf(site.log, 'ended').length >= parts.length)
    equal([(await site.send(sent)).status, json.runs], [201, 1])
  }),

  httpCase('who leaves a signed request that is at work gets its answer by its key, signed anew', async (stage) => {
    const { serve, key, equal, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const json = route('json', {
      policy: { signed: { verifier: verifier() }, idempotent: {} },
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([json])
    const headers = [['Idempotency-Key', key()] as const]
    const sent = signedBy('key-eve', { headers })
    const connection = site.open(sent)
    await entered.promise
    connection.leave()
    await until('the end', () => linesOf(site.log, 'ended').length > 0)
    go.resolve()
    await until('the answer is kept', () => site.watched.ends.includes('done'))
    equal((await site.send(sent)).json()['code'], 'replayed')
    const again = await site.send(signedBy('key-eve', { headers }))
    equal([again.status, again.header('idempotent-replayed'), json.runs], [201, 'true', 1])
  }),

  httpCase('a signed request that is too long is 413', async ({ serve, equal }) => {
    const json = route('json', { policy: { signed: { verifier: verifier() } } })
    const site = await serve([json], { http: { maxRawBody: 1_000 } })
    const refused = await site.send(
      signedBy('key-eve', { headers: [JSON_TYPE], body: JSON.stringify({ text: 'x'.repeat(1_000) }) }),
    )
    equal([refused.status, refused.json()['code'], json.runs], [413, 'body-too-large', 0])
  }),
]
