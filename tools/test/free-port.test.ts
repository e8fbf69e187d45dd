import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { freePort } from '../servers/free-port.ts'

it('gives no port twice, although nobody listens there: its server may be down for a while', async () => {
  const ports: number[] = []
  // By chance alone some of so many would be the same.
  for (let i = 0; i < 400; i++) ports.push(await freePort())
  expect(new Set(ports).size).toBe(ports.length)
})

it('gives a port on which a server can listen', async () => {
  const port = await freePort()
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  expect((server.address() as AddressInfo).port).toBe(port)
  server.close()
})
