import { KernelError } from '../kernel-error.ts'
import { redisDriverOf } from './client.ts'
import type { RedisDriver } from './driver.ts'
import type { IoredisLike } from './ioredis/ioredis-like.ts'
import type { NodeRedisLike } from './node-redis/node-redis-like.ts'
import { sendPipeline } from './pipeline.ts'
import type { PipelineCommand, RedisPort, RedisReply } from './port.ts'
import { createSubscriber } from './subscriber.ts'

/** Ports made before: one object, and so one subscriber, a client. */
const known = new WeakMap<object, RedisPort>()

/**
 * The port over an ioredis 5 or 6 Redis or Cluster, or a node-redis 5 or 6 client or cluster; a RedisPort is given
 * back. The same client gives the same port. Nothing is sent.
 * @throws KernelError OPTION_INVALID that says what was found.
 */
export function redisPort(client: IoredisLike | NodeRedisLike | RedisPort): RedisPort {
  if (isPort(client)) return client
  let port = typeof client === 'object' && client !== null ? known.get(client) : undefined
  if (port === undefined) known.set(client, (port = portOver(redisDriverOf(client))))
  return port
}

function isPort(client: unknown): client is RedisPort {
  const { client: kind, command, pipeline, script, subscribe } = (client ?? {}) as Record<string, unknown>
  return typeof kind === 'string' && [command, pipeline, script, subscribe].every((each) => typeof each === 'function')
}

function portOver(driver: RedisDriver): RedisPort {
  const { client, cluster, sharded } = driver
  const run = (key: string | null, commands: readonly PipelineCommand[]): Promise<RedisReply[]> =>
    sendPipeline((words) => driver.send(key, words), commands)
  return {
    client,
    cluster,
    sharded,
    command: async (key, args) => (await run(key, [args]))[0]!,
    pipeline: run,
    script: async (script, keys, args) => (await run(keys[0] ?? null, [{ script, keys, args }]))[0]!,
    subscribe: createSubscriber((events, signal) => driver.listen(events, signal)),
    async dedicated() {
      const { driver: copy, close } = await driver.duplicate()
      let closed = false
      const send: RedisDriver['send'] = async (key, commands) => {
        // Some clients keep for ever what they are told after their end.
        if (closed) throw new KernelError('CLOSED', 'dedicated: this port was closed')
        return copy.send(key, commands)
      }
      return {
        ...portOver({ ...copy, send }),
        close() {
          closed = true
          return close()
        },
      }
    },
  }
}
