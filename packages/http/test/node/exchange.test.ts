import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { createHttp } from '@keelson/http'
import { nodeExchanges } from '@keelson/http/node'

const frame = { target: () => '/', route: () => '/' }

test('two adapters see one request, each its body, head and end', async () => {
  const seen: unknown[] = []
  const server = createServer((req, res) => {
    const ends = ['a', 'b'].map(async (name) => {
      const x = nodeExchanges(frame, 1_024).of(req, res, undefined)
      x.onHead(() => x.setHeader(name, 'head'))
      const body = x.rawBody()
      await new Promise((resolve) => x.onEnd(resolve))
      seen.push([name, Buffer.from(await body).toString()])
    })
    ends.push(text(req).then((read) => void res.end(`read ${read}`)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'tea' })
  expect(await answer.text()).toBe('read tea')
  expect([answer.headers.get('a'), answer.headers.get('b')]).toEqual(['head', 'head'])
  await expect
    .poll(() => seen)
    .toEqual([
      ['a', 'tea'],
      ['b', 'tea'],
    ])
  server.closeAllConnections()
  server.close()
})

test('behind a proxy on a Unix socket that is trusted by its name, clients have their own addresses', async () => {
  const http = createHttp({ trustProxy: ['unix'] })
  const office = http.compile({ allowIps: ['203.0.113.0/24'] })
  const server = createServer(async (req, res) => {
    const x = nodeExchanges(frame, 1_024).of(req, res, undefined)
    http.begin(x)
    const refusal = await office.early(x)
    res.writeHead(refusal?.status ?? 200).end(x.remoteAddress)
  })
  const dir = await mkdtemp(join(tmpdir(), 'keelson-'))
  const socketPath = join(dir, 's')
  await once(server.listen(socketPath), 'listening')
  const ask = async (address: string): Promise<readonly [status: number | undefined, body: string]> => {
    const asked = request({ socketPath, headers: { 'X-Forwarded-For': address } }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return [answer.statusCode, await text(answer)]
  }
  expect([await ask('203.0.113.7'), await ask('192.0.2.1')]).toEqual([
    [200, 'unix'],
    [403, 'unix'],
  ])
  server.closeAllConnections()
  server.close()
  await rm(dir, { recursive: true })
})

test('who has reset a TCP connection does not look like a Unix socket', async () => {
  const seen = Promise.withResolvers<string>()
  const server = createServer((req, res) => {
    client.resetAndDestroy()
    // Behind the reset; nobody has asked for the address before.
    client.once('close', () =>
      setImmediate(() => seen.resolve(nodeExchanges(frame, 1_024).of(req, res, 0).remoteAddress)),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n')
  expect(await seen.promise).toBe('')
  server.close()
})
