import { once } from 'node:events'
import { createServer, type Server, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { safeAgent, type ResolveHost } from '../../src/safe-agent/index.ts'
import { certificates } from '../../../../tools/certificates.ts'
import { localSender, post } from './send.ts'

const { ca, pairs } = certificates({
  good: { names: 'DNS:receiver.example,IP:127.0.0.1,IP:::1', days: 2 },
  other: { names: 'DNS:other.example', days: 2 },
  expired: { names: 'DNS:receiver.example', days: -1 },
})
const usual = getCACertificates('default')
beforeAll(() => setDefaultCACertificates([...usual, ca]))
afterAll(() => setDefaultCACertificates(usual))

const resolve: ResolveHost = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }])

interface Secure {
  readonly port: number
  readonly server: Server
  readonly names: (string | false | null)[]
  open: number
}

async function secure(options: ServerOptions): Promise<Secure> {
  const server = createServer({ keepAliveTimeout: 60_000, ...options }, (req, res) => {
    req.resume()
    req.on('end', () => res.writeHead(204).end())
  })
  const names: (string | false | null)[] = []
  const seen: Secure = { port: 0, server, names, open: 0 }
  server.on('connection', (socket) => {
    seen.open++
    socket.once('close', () => seen.open--)
  })
  server.on('secureConnection', (socket: TLSSocket) =>
    names.push((socket as { servername?: string }).servername ?? null),
  )
  server.listen(0, '::')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(seen, { port: (server.address() as AddressInfo).port })
}

describe('TLS', () => {
  test.each([
    ['receiver.example', 'receiver.example'],
    ['receiver.example.', 'receiver.example'],
    ['RECEIVER.example', 'receiver.example'],
    ['127.0.0.1', false],
    ['[::1]', false],
  ])('%s is who its certificate says, told the name %s', async (host, name) => {
    const local = await secure(pairs.good)
    const sender = localSender({ resolve, httpsOnly: true })
    const url = `https://${host}:${local.port}/`
    for (let i = 0; i < 3; i++) expect(await post(sender, url)).toMatchObject({ outcome: 'success', status: 204 })
    expect(local.names).toEqual([name])
    const agent = safeAgent({ resolve, allow: ['127.0.0.1/32', '::1/128'] })
    onTestFinished(() => agent.destroy())
    // A name in the header of a request is no name for the handshake.
    const answer = await request(url, { dispatcher: agent, method: 'POST', headers: { host: 'other.example' } })
    expect(answer.statusCode).toBe(204)
    expect(local.names).toEqual([name, name])
  })

  test.each<[string, ServerOptions, string]>([
    ['of another host', pairs.other, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['that is over', pairs.expired, 'CERT_HAS_EXPIRED'],
  ])('a certificate %s', async (_, pair, error) => {
    const local = await secure(pair)
    const sender = localSender({ resolve })
    const result = await post(sender, `https://receiver.example:${local.port}/`)
    expect(result).toMatchObject({ outcome: 'tls', error, status: null, response: null })
    while (local.open > 0) await new Promise((turn) => setTimeout(turn, 5))
    expect(JSON.stringify(result)).not.toContain('receiver.example')
  })

  test('an authority that nobody knows, a version that is too old, no TLS at all', async () => {
    setDefaultCACertificates(usual)
    const unknown = await secure(pairs.good)
    expect(await post(localSender({ resolve }), `https://receiver.example:${unknown.port}/`)).toMatchObject({
      outcome: 'tls',
      error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    })
    setDefaultCACertificates([...usual, ca])
    const old = await secure({
      ...pairs.good,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    })
    expect((await post(localSender({ resolve }), `https://receiver.example:${old.port}/`)).outcome).toBe('tls')
  })

  test('a client certificate that we do not have', async () => {
    const local = await secure({ ...pairs.good, requestCert: true, rejectUnauthorized: true, ca })
    const result = await post(localSender({ resolve }), `https://receiver.example:${local.port}/`)
    expect(result.outcome).toMatch(/^(tls|reset)$/)
  })

  test('sockets of attempts that were given up are closed', async () => {
    const local = await secure(pairs.good)
    local.server.removeAllListeners('request')
    const sender = localSender({ resolve })
    const url = `https://receiver.example:${local.port}/`
    const all = await Promise.all(Array.from({ length: 10 }, () => post(sender, url, { timeoutMs: 1_000 })))
    expect(all.every(({ outcome }) => outcome === 'timeout')).toBe(true)
    while (local.open > 0) await new Promise((turn) => setTimeout(turn, 5))
  })
})
