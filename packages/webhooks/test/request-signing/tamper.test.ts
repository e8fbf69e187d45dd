import fc from 'fast-check'
import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { requestSigner, requestVerifier, type RequestToVerify } from '../../src/request-signing/index.ts'
import { httpSignature, memoryInbox } from '../../src/verify/index.ts'

const clock = virtualClock()
const key = { alg: 'hmac-sha256', key: 'a key of thirty two bytes, about' } as const
const signer = requestSigner({ keyId: 'key-1', key, components: ['content-type'], clock })
const verifier = requestVerifier({ keys: (id) => (id === 'key-1' ? { ...key, principal: 'acme' } : null), clock })

interface Request extends RequestToVerify {
  readonly headers: Record<string, string>
  readonly body: Uint8Array
}

/** As a server sees it. */
function signed(o: { method?: string; path?: string; query?: string; body?: Uint8Array } = {}): Request {
  const { method = 'POST', path = '/v1/orders', query = '?dry=1', body = Buffer.from('{"sku":"tea"}') } = o
  const headers = { 'content-type': 'application/json' }
  const own = signer.sign({ method, url: `https://api.example${path}${query}`, headers, body })
  return { method, url: `${path}${query}`, headers: { host: 'api.example', ...headers, ...own }, body }
}

const refused = { name: 'WebhookError', retryable: false }

test('verifies what was signed, whatever it is', async () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_~-]{0,8}$/)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
      fc.array(segment, { minLength: 1 }).map((segments) => `/${segments.join('/')}`),
      fc.option(
        segment.map((text) => `?${text}=1`),
        { nil: '' },
      ),
      fc.uint8Array({ maxLength: 300 }),
      async (method, path, query, body) => {
        const who = await verifier.verify(signed({ method, path, query, body }))
        expect(who).toEqual({
          keyId: 'key-1',
          principal: 'acme',
          scope: null,
          nonce: expect.stringMatching(/^[\w-]{22}$/),
        })
      },
    ),
  )
})

test('refuses it with any one bit of any header flipped', async () => {
  const request = signed()
  for (const [name, text] of Object.entries(request.headers)) {
    for (let at = 0; at < text.length * 8; at++) {
      const flipped = Buffer.from(text)
      flipped[at >> 3]! ^= 1 << (at & 7)
      const value = flipped.toString('latin1')
      // Names of hosts have no case.
      if (name === 'host' && value.toLowerCase() === text) continue
      const tampered = { ...request, headers: { ...request.headers, [name]: value } }
      await expect(verifier.verify(tampered), `${name}: ${value}`).rejects.toMatchObject(refused)
    }
  }
})

test('refuses it with any one bit of the method, the target or the body flipped', async () => {
  const request = signed()
  const flips = (text: string): string[] =>
    Array.from({ length: text.length * 8 }, (_, at) => {
      const flipped = Buffer.from(text)
      flipped[at >> 3]! ^= 1 << (at & 7)
      return flipped.toString('latin1')
    })
  for (const method of flips(request.method))
    await expect(verifier.verify({ ...request, method })).rejects.toMatchObject(refused)
  for (const url of flips(request.url)) {
    // What comes behind '#' never leaves a client.
    if (!url.includes('#')) await expect(verifier.verify({ ...request, url }), url).rejects.toMatchObject(refused)
  }
  const body = Buffer.from(request.body).toString('latin1')
  for (const flipped of flips(body)) {
    const tampered = { ...request, body: Buffer.from(flipped, 'latin1') }
    await expect(verifier.verify(tampered)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  }
})

test.each<[string, (r: Request) => RequestToVerify]>([
  ['another method', (r) => ({ ...r, method: 'PUT' })],
  ['another path', (r) => ({ ...r, url: '/v1/orders/1?dry=1' })],
  ['the same path in other words', (r) => ({ ...r, url: '/v1/./orders?dry=1' })],
  ['another query', (r) => ({ ...r, url: '/v1/orders?dry=0' })],
  ['no query', (r) => ({ ...r, url: '/v1/orders' })],
  ['another host', (r) => ({ ...r, headers: { ...r.headers, host: 'other.example' } })],
  ['another host in the URL', (r) => ({ ...r, url: `https://other.example${r.url}` })],
  ['another covered header', (r) => ({ ...r, headers: { ...r.headers, 'content-type': 'text/plain' } })],
  [
    'a digest of another body',
    (r) => ({
      ...r,
      body: Buffer.alloc(0),
      headers: { ...r.headers, 'content-digest': signed({ body: Buffer.alloc(0) }).headers['content-digest']! },
    }),
  ],
  [
    'a line that was put in',
    (r) => ({ ...r, headers: { ...r.headers, 'content-type': 'application/json\n"@path": /x' } }),
  ],
])('refuses %s', async (_, tamper) => {
  await expect(verifier.verify(tamper(signed()))).rejects.toMatchObject(refused)
})

test('an absolute URL, Headers, a body as text are the same request', async () => {
  const request = signed()
  const { 'content-type': type, ...own } = request.headers
  const same: RequestToVerify[] = [
    { ...request, url: `https://API.example:443${request.url}#top` },
    { ...request, headers: new Headers(request.headers) },
    { ...request, body: Buffer.from(request.body).toString() },
    { ...request, headers: { ...own, 'Content-Type': ['application/json'] } },
  ]
  expect(type).toBe('application/json')
  for (const one of same) expect(await verifier.verify(one)).toMatchObject({ principal: 'acme' })
})

test('a GET needs no body, and signs that it has none', async () => {
  const own = signer.sign({ method: 'get', url: new URL('https://api.example/'), headers: { 'content-type': 'x' } })
  const request = { method: 'GET', url: '/', headers: { ...own, host: 'api.example', 'content-type': 'x' } }
  expect(await verifier.verify(request)).toMatchObject({ principal: 'acme' })
  await expect(verifier.verify({ ...request, body: 'x' })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
})

test('a nonce is good once, also when both come at once, and only a good request uses it up', async () => {
  const keys = () => key
  const once = requestVerifier({ keys, nonces: memoryInbox({ clock }), clock })
  const request = signed()
  const forged = { ...request, headers: { ...request.headers, signature: signed().headers['signature']! } }
  await expect(once.verify(forged)).rejects.toMatchObject({ code: 'NO_MATCH' })
  await expect(once.verify({ ...request, body: 'x' })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })

  const both = await Promise.allSettled([once.verify(request), once.verify(request)])
  expect(both).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'REPLAYED' } }])
  await expect(once.verify(request)).rejects.toMatchObject({ code: 'REPLAYED' })
  expect(await once.verify(signed())).toMatchObject({ keyId: 'key-1', principal: null })
})

test('a nonce is remembered for as long as its signature can be good', async () => {
  const clock = virtualClock()
  const ahead = { now: () => clock.now() + 60_000 } as typeof clock
  const early = requestSigner({ keyId: 'key-1', key, clock: ahead })
  const once = requestVerifier({ keys: () => key, nonces: memoryInbox({ clock }), tolerance: '1m', clock })
  const request = {
    method: 'GET',
    url: 'https://api.example/',
    headers: early.sign({ method: 'GET', url: 'https://api.example/' }),
  }
  expect(await once.verify(request)).toMatchObject({ keyId: 'key-1' })
  // 120.9 s later it is 60 whole seconds old.
  await clock.advance(120_900)
  await expect(once.verify(request)).rejects.toMatchObject({ code: 'REPLAYED' })
  await clock.advance(100)
  await expect(once.verify(request)).rejects.toMatchObject({ code: 'TOO_OLD' })
})

test('the nonces of two keys are two', async () => {
  const inbox = memoryInbox({ clock })
  const calls: unknown[] = []
  const once = requestVerifier({
    keys: () => key,
    nonces: { consume: (call, work) => (calls.push(call), inbox.consume(call, work)) },
    tolerance: 1000,
    clock,
  })
  const { nonce } = await once.verify(signed())
  expect(calls).toEqual([{ scope: 'key-1', op: 'nonce', key: nonce, retain: 3000 }])
})

test('httpSignature is the same check for a receiver, with the nonce as id', () => {
  const webhook = httpSignature({
    keys: { other: { ...key, key: 'another' }, 'key-1': key },
    require: ['content-type'],
    clock,
  })
  const request = signed()
  const event = webhook.verify(request)
  expect(event).toMatchObject({ secret: 1, type: null, timestamp: new Date(Math.floor(clock.now() / 1000) * 1000) })
  expect(request.headers['signature-input']).toContain(`nonce="${event.id}"`)
  expect(event.dedupeKey).toBe(event.id)
  expect(event.json()).toEqual({ sku: 'tea' })
  expect(() => webhook.verify({ ...request, body: 'x' })).toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }))
  const { method: _, ...methodless } = request
  expect(() => webhook.verify(methodless)).toThrow(expect.objectContaining({ code: 'MISSING_COMPONENT' }))
})
