/** A server that can be frozen: `/part` answers a part of its body. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer((req, res) => {
  if (req.url === '/part') res.writeHead(200, { 'content-length': '100' }).write('part')
  else res.end('whole')
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
