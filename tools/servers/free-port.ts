/**
 * A port for a server that a test will stop and start again. The kernel hands out ports from 32768 (Linux) or 49152
 * (macOS) to anyone who connects; below them a port stays ours while its server is down.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

/** The bus of a Redis Cluster listens 10,000 above its port (only Redis 7 lets us choose): there is nobody else. */
const RANGE = { first: 15_000, last: 22_000 } as const
const HOST = '127.0.0.1'

/**
 * A loopback TCP port nobody listens on now, and that nobody else is given while this process lives. A stranger may
 * still win it: start again on 'address in use'.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(RANGE.first, RANGE.last)
    if ((await reserve(port)) && (await isFree(port))) return port
  }
  throw new Error(`found no free loopback port between ${RANGE.first} and ${RANGE.last}`)
}

/** Who has the UDP port of the same number has the port, also while its server is down. It ends with the process. */
function reserve(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const sign = createSocket('udp4')
    sign.once('error', () => resolve(false))
    sign.bind({ port, address: HOST, exclusive: true }, () => {
      sign.unref()
      resolve(true)
    })
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, HOST, () => probe.close(() => resolve(true)))
  })
}
