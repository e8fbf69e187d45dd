/**
 * A port for a server that a test will stop and start again. The kernel hands out ports from 32768 (Linux) or 49152
 * (macOS) to anyone who connects; below them a port stays ours while its server is down.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const RANGE = { first: 15_000, last: 32_000 } as const

/** A loopback TCP port nobody listens on now. Another process may still win it: start again on 'address in use'. */
export async function freePort(last: number = RANGE.last): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(RANGE.first, last)
    if (await isFree(port)) return port
  }
  throw new Error(`found no free loopback port between ${RANGE.first} and ${last}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
