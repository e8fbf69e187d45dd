import { bytes, type Command, type Outcome } from '../driver.ts'
import type { RedisReply } from '../port.ts'
import { toReply } from '../reply.ts'
import type { IoredisLike } from './ioredis-like.ts'

/** What became of one command, as ioredis' pipelines tell it. */
type Result = readonly [Error | null, unknown?]

/**
 * Sends by a Redis, in one flight. Names go in upper case: ioredis looks its transformers up by names in lower case,
 * and they make an object with text keys of a hash.
 */
export async function send(redis: IoredisLike, commands: readonly Command[]): Promise<Outcome[]> {
  const named = commands.map(([name, ...args]) => ({
    name: String(name).toUpperCase(),
    args: args.map((arg) => (typeof arg === 'object' ? bytes(arg) : String(arg))),
  }))
  const results = await flight(redis, named)
  const read = redis.options?.stringNumbers === true ? numbered : (raw: unknown) => raw
  return results.map(([error, raw], i) => outcome(error, () => toReply(read(raw), named[i]!.name)))
}

async function flight(
  redis: IoredisLike,
  commands: readonly { name: string; args: unknown[] }[],
): Promise<readonly Result[]> {
  const [first] = commands
  // A pipeline is the slower half of a short call. But `callBuffer` loses the name when ioredis pipelines by itself.
  if (first !== undefined && commands.length === 1 && redis.options?.enableAutoPipelining !== true) {
    return [
      await redis.callBuffer(first.name, first.args).then(
        (raw: unknown) => [null, raw],
        (error: Error) => [error],
      ),
    ]
  }
  const pipeline = redis.pipeline()
  for (const { name, args } of commands) pipeline.callBuffer(name, args)
  return pipeline.exec()
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
