import { bytes, type Command, type Outcome } from '../driver.ts'
import type { RedisReply } from '../port.ts'
import { toReply } from '../reply.ts'
import type { IoredisLike } from './ioredis-like.ts'

/**
 * Sends by a Redis, in one flight. A pipeline also for a single command: with `enableAutoPipelining` ioredis'
 * `callBuffer` loses the command's name. Upper case keeps its transformers away, which it looks up by names in lower
 * case: they make an object with text keys of a hash.
 */
export async function send(redis: IoredisLike, commands: readonly Command[]): Promise<Outcome[]> {
  const pipeline = redis.pipeline()
  const names = commands.map(([name]) => String(name).toUpperCase())
  for (const [i, [, ...args]] of commands.entries()) {
    const words = args.map((arg) => (typeof arg === 'object' ? bytes(arg) : String(arg)))
    pipeline.callBuffer(names[i], words)
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
