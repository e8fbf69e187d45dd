/** Is there a Redis? Asked with a real connection and command: an open port is not an answer. */
import { Redis } from 'ioredis'

/** A loaded machine takes seconds to connect; a server that is not there refuses at once. */
const TRY_MS = 10_000

/** One try, bounded to 10 s: the reply, or a rejection. Sentinels answer too. */
export async function askRedis(url: string, command: string, ...args: (string | number)[]): Promise<unknown> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TRY_MS,
    commandTimeout: TRY_MS, // counts from the call, the connection included
    retryStrategy: null,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2, // one flight less, and every server speaks it
  })
  let broken: unknown
  client.on('error', (error) => (broken ??= error))
  try {
    return await client.call(command, ...args)
  } catch (error) {
    throw broken ?? error // "Connection is closed." does not say why
  } finally {
    client.disconnect()
  }
}
