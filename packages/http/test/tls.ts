import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import type { IncomingMessage } from 'node:http'
import type { TlsOptions } from 'node:tls'
import { expect } from 'vitest'

/** A secret that both sides know, instead of a certificate. */
const psk = Buffer.from('of both sides')
const ciphers = 'PSK+HIGH'

/** For a server of node:https. */
export const tlsOptions: TlsOptions = { ciphers, pskCallback: () => psk, maxVersion: 'TLSv1.2' }

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** What is the same with TLS: keys, problems, addresses, and mounted APIs, which see `https:`. */
export async function holdsOverTls(port: number): Promise<void> {
  const [first, again] = [await post(port, '/orders', 'k'), await post(port, '/orders', 'k')]
  expect([first.status, again.status, first.headers['idempotent-replayed']]).toEqual([201, 201, undefined])
  expect([again.headers['idempotent-replayed'], again.body]).toEqual(['true', first.body])
  expect(await post(port, '/orders', '"')).toMatchObject({
    status: 400,
    headers: { 'content-type': 'application/problem+json' },
  })
  expect((await post(port, '/none', 'k')).status).toBe(404)
  expect((await post(port, '/api/a', 'k')).body).toBe(`https://127.0.0.1:${port}/a`)
}

/** The routes that {@link holdsOverTls} asks for. */
export const policy = { idempotent: {}, allowIps: ['127.0.0.1'] }
export const api = async ({ url }: Request): Promise<Response> => new Response(url)

function post(port: number, path: string, key: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key }
  const options = {
    ciphers,
    pskCallback: () => ({ psk, identity: 'client' }),
    checkServerIdentity: () => undefined,
    maxVersion: 'TLSv1.2',
  } as const
  request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: false, ...options })
    .on('error', reject)
    .on('response', (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode, headers: answer.headers, body }), reject)
    })
    .end('{"a":1}')
  return promise
}
