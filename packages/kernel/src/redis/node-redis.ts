import { bytes, type Command, type Outcome, type RedisDriver } from './driver.ts'
import { nodeRedisListener } from './node-redis-listener.ts'
import { toReply } from './reply.ts'

/** What is used of node-redis 5 and 6: a client, a cluster, a pool or a Sentinel client. */
export interface NodeRedisLike {
  readonly isOpen: boolean
  sendCommand(...args: any): Promise<any>
  connect(): Promise<any>
}

/** A client for one server. */
export interface NodeRedisClient extends NodeRedisLike {
  readonly options?: any
  duplicate(overrides?: any): any
}

/** By RESP type: text of each kind as bytes, a double as the server wrote it, a map as a flat array. */
const TYPES = { 36: Buffer, 43: Buffer, 61: Buffer, 40: String, 44: String, 37: Array, 126: Array }

/** A single server behind node-redis. */
export function nodeRedisDriver(redis: NodeRedisClient): RedisDriver {
  return {
    client: 'node-redis',
    cluster: false,
    sharded: 'sSubscribe' in redis,
    send: (_key, commands) => sendByNodeRedis(redis, commands),
    listen: (events, signal) => nodeRedisListener(redis, events, signal),
    duplicate: () => duplicateOf(redis, nodeRedisDriver),
  }
}

/** A connected copy, of any of node-redis' clients. */
export async function duplicateOf<C>(
  client: { duplicate(overrides?: any): any },
  driverOf: (copy: C) => RedisDriver,
): ReturnType<RedisDriver['duplicate']> {
  // A cache of the user's would be flushed when the copy closes.
  const copy = client.duplicate({ clientSideCache: undefined })
  copy.on('error', () => {}) // its commands hear of it
  await copy.connect()
  return { driver: driverOf(copy), close: async () => void (await copy.destroy()) }
}

/**
 * One flight: what is queued in one tick is written at once. The chain makes a lost connection reject those commands
 * too that were not written yet: on the next connection WAIT would count for writes it knows nothing of.
 */
export function sendByNodeRedis(redis: NodeRedisLike, commands: readonly Command[]): Promise<Outcome[]> {
  const options = { typeMapping: TYPES, chainId: Symbol('keelson'), asap: false }
  return Promise.all(
    commands.map(async (command): Promise<Outcome> => {
      const words = command.map((word) => (typeof word === 'object' ? bytes(word) : String(word)))
      try {
        const raw: unknown = await redis.sendCommand(words, options)
        return { kind: 'reply', reply: toReply(raw, String(words[0]).toUpperCase()) }
      } catch (error) {
        return { kind: 'error', error: error as Error }
      }
    }),
  )
}
