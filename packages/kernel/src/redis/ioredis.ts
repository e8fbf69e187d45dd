import { bytes, type Command, type Outcome, type RedisDriver } from './driver.ts'
import { ioredisListener } from './ioredis-listener.ts'
import type { RedisReply } from './port.ts'
import { toReply } from './reply.ts'

/** What is used of ioredis 5 and 6: a Redis or a Cluster. */
export interface IoredisLike {
  readonly status: string
  readonly isCluster: boolean
  readonly options: any
  call(...args: any): any
  pipeline(commands?: any): any
  duplicate(...overrides: any): any
}

/** A single server behind ioredis, also one that a Sentinel names. */
export function ioredisDriver(redis: IoredisLike): RedisDriver {
  return {
    client: 'ioredis',
    cluster: false,
    sharded: 'ssubscribe' in redis,
    send: (_key, commands) => sendByIoredis(redis, commands),
    listen: (events, signal) => ioredisListener(redis, events, signal),
    async duplicate() {
      const copy = redis.duplicate({ lazyConnect: true })
      copy.on('error', () => {}) // its commands hear of it
      await copy.connect()
      return { driver: ioredisDriver(copy), close: async () => copy.disconnect() }
    },
  }
}

/**
 * One flight. A pipeline also for a single command: with `enableAutoPipelining` ioredis' `callBuffer` loses the
 * command's name. Upper case keeps its transformers away, which it looks up by names in lower case: they make an
 * object with text keys of a hash.
 */
export async function sendByIoredis(redis: IoredisLike, commands: readonly Command[]): Promise<Outcome[]> {
  const pipeline = redis.pipeline()
  const names = commands.map(([name]) => String(name).toUpperCase())
  for (const [i, [, ...args]] of commands.entries()) {
    pipeline.callBuffer(
      names[i],
      args.map((arg) => (typeof arg === 'object' ? bytes(arg) : String(arg))),
    )
  }
  const results: readonly (readonly [Error | null, unknown])[] = await pipeline.exec()
  const read = redis.options?.stringNumbers === true ? numbered : (raw: unknown) => raw
  return results.map(([error, raw], i) => outcome(error, () => toReply(read(raw), names[i]!)))
}

function outcome(error: Error | null, reply: () => RedisReply): Outcome {
  if (error !== null) return { kind: 'error', error }
  try {
    return { kind: 'reply', reply: reply() }
  } catch (nested) {
    return { kind: 'error', error: nested as Error }
  }
}

/** With `stringNumbers` an integer is a string: all text is a Buffer here. */
function numbered(raw: unknown): unknown {
  if (Array.isArray(raw)) return raw.map(numbered)
  return typeof raw === 'string' && /^-?\d{1,19}$/.test(raw) ? Number(raw) : raw
}
