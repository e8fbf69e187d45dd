import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
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
