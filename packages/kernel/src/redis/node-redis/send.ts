import { bytes, type Command, type Outcome } from '../driver.ts'
import { toReply } from '../reply.ts'
import type { NodeRedisClient } from './node-redis-like.ts'

/** By RESP type: text as bytes, with a format too, a double as the server wrote it, a map as a flat array. */
const TYPES = { 36: Buffer, 61: Buffer, 44: String, 37: Array }

/**
 * Sends by one connection, in one flight: what is queued in one tick is written at once. The chain makes a lost
 * connection reject those commands too that were not written yet: on the next connection WAIT would count for writes
 * it knows nothing of.
 */
export function send(client: NodeRedisClient, commands: readonly Command[]): Promise<Outcome[]> {
  const options = { typeMapping: TYPES, chainId: Symbol('keelson'), asap: false }
  return Promise.all(
    commands.map(async (command): Promise<Outcome> => {
      const words = command.map((word) => (typeof word === 'object' ? bytes(word) : String(word)))
      try {
        const raw: unknown = await client.sendCommand(words, options)
        return { kind: 'reply', reply: toReply(raw, String(words[0]).toUpperCase()) }
      } catch (error) {
        return { kind: 'error', error: error as Error }
      }
    }),
  )
}
