/** A loopback HTTP server in a process of its own, that takes everything: a webhook's receiver, a payment provider. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveParent } from '../../src/child.ts'

const server = createServer((req, res) => {
  req.resume().on('end', () => res.writeHead(204).end())
})
server.listen(0, '127.0.0.1', () => {
  serveParent(() => `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
