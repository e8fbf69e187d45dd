import type { Arg, PipelineCommand, RedisPort, RedisReply } from '../../redis/port.ts'
import type { Subject } from '../suite.ts'
import type { RedisSubject } from './redis-suite.ts'

/** Faults laid over a good port, named by what is wrong: what {@link redisSuite} must catch. */
export function brokenRedisPorts(good: Subject<RedisSubject>): Readonly<Record<string, Subject<RedisSubject>>> {
  const over = (fault: (port: RedisPort) => Partial<RedisPort>): Subject<RedisSubject> => ({
    async make() {
      const { port, dispose } = await good.make()
      return { port: { ...port, ...fault(port) }, dispose }
    },
  })
  const replies = (fault: (reply: RedisReply) => unknown): Subject<RedisSubject> =>
    over((port) => ({
      command: async (key, args) => fault(await port.command(key, args)) as RedisReply,
      pipeline: async (key, commands) =>
        (await port.pipeline(key, commands)).map((reply) => fault(reply) as RedisReply),
      script: async (...call) => fault(await port.script(...call)) as RedisReply,
    }))
  const words = (fault: (arg: Arg) => Arg): Subject<RedisSubject> =>
    over((port) => ({ command: (key, args) => port.command(key, args.map(fault)) }))
  return {
    'texts are strings': replies((reply) => (Buffer.isBuffer(reply) ? reply.toString() : reply)),
    'bytes pass through UTF-8': replies((reply) => (Buffer.isBuffer(reply) ? Buffer.from(reply.toString()) : reply)),
    'texts in lists are strings': replies((reply) =>
      Array.isArray(reply) ? reply.map((one) => (Buffer.isBuffer(one) ? one.toString() : one)) : reply,
    ),
    'integers are texts': replies((reply) => (typeof reply === 'number' ? Buffer.from(String(reply)) : reply)),
    'texts of digits are integers': replies((reply) =>
      Buffer.isBuffer(reply) && /^\d+$/.test(reply.toString()) ? Number(reply) : reply,
    ),
    'nothing is an empty text': replies((reply) => reply ?? Buffer.alloc(0)),
    'an empty text is nothing': replies((reply) => (Buffer.isBuffer(reply) && reply.length === 0 ? null : reply)),
    'lists are flat': replies((reply) => (Array.isArray(reply) ? reply.flat(9) : reply)),
    'a hash is an object': over((port) => ({
      async command(key, args) {
        const reply = await port.command(key, args)
        return args[0] === 'HGETALL' ? ({ [String((reply as Buffer[])[0])]: (reply as Buffer[])[1] } as never) : reply
      },
    })),
    'bytes are numbers joined by commas': words((arg) =>
      arg instanceof Uint8Array && !Buffer.isBuffer(arg) ? String(arg) : arg,
    ),
    'a part of an array is the whole': words((arg) => (arg instanceof Uint8Array ? Buffer.from(arg.buffer) : arg)),
    'words go as Latin-1': words((arg) => (typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg)),
    'numbers are cut': words((arg) => (typeof arg === 'number' ? Math.trunc(arg) : arg)),
    'errors are answers': over((port) => ({
      command: (key, args) => port.command(key, args).catch((error: Error) => Buffer.from(error.message)),
    })),
    'errors lose their words': over((port) => ({
      command: (key, args) =>
        port.command(key, args).catch(() => {
          throw new Error('Redis failed')
        }),
    })),
    'only known scripts run': over((port) => ({
      script: (script, keys, args) =>
        port.command(keys[0] ?? null, ['EVALSHA', script.sha, keys.length, ...keys, ...args]),
    })),
    'an error of a script is told as an unknown one': over((port) => ({
      script: (...call) =>
        port.script(...call).catch(() => {
          throw new Error('NOSCRIPT No matching script')
        }),
    })),
    'scripts get no keys': over((port) => ({
      script: (script, keys, args) => port.script(script, [], [...keys, ...args]),
    })),
    'a pipeline stops at its first error': over((port) => ({
      async pipeline(key, commands) {
        const answers: RedisReply[] = []
        for (const command of commands) answers.push((await port.pipeline(key, [command]))[0]!)
        return answers
      },
    })),
    'a pipeline hides its errors': over((port) => ({
      pipeline: (key, commands) => Promise.all(commands.map((one) => alone(port, key, one).catch(() => null))),
    })),
    'a pipeline rejects with its last error': over((port) => ({
      async pipeline(key, commands) {
        const settled = await Promise.allSettled(commands.map((one) => alone(port, key, one)))
        const failed = settled.findLast(({ status }) => status === 'rejected')
        if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
        return settled.map((one) => (one as PromiseFulfilledResult<RedisReply>).value)
      },
    })),
    'a pipeline answers backwards': over((port) => ({
      pipeline: async (key, commands) => (await port.pipeline(key, commands)).toReversed(),
    })),
    'a pipeline sends backwards': over((port) => ({
      pipeline: async (key, commands) => (await port.pipeline(key, commands.toReversed())).toReversed(),
    })),
    'callers at once get each other’s answers': over((port) => {
      let last: Promise<RedisReply> | undefined
      return {
        command(key, args) {
          const answer = port.command(key, args)
          const given = last === undefined ? answer : Promise.all([last, answer]).then(([other]) => other)
          last = answer
          void answer.catch(() => {}).then(() => (last = last === answer ? undefined : last))
          return given
        },
      }
    }),
    'messages are strings': over((port) => ({
      subscribe: (channel, on, o) => port.subscribe(channel, (message) => on(message.toString() as never), o),
    })),
    'a subscription hears nothing': over((port) => ({
      subscribe: (channel, _, o) => port.subscribe(channel, () => {}, o),
    })),
    'a closed subscription still hears': over((port) => ({
      async subscribe(channel, on, o) {
        await port.subscribe(channel, on, o)
        return { close: async () => {} }
      },
    })),
    'closing one subscription closes all of its channel': over((port) => {
      const open = new Map<string, Set<{ close(): Promise<void> }>>()
      return {
        async subscribe(channel, on, o) {
          const all = open.get(channel) ?? new Set()
          open.set(channel, all)
          all.add(await port.subscribe(channel, on, o))
          return { close: async () => void (await Promise.all([...all].map((one) => one.close()))) }
        },
      }
    }),
    'a second subscription replaces the first': over((port) => {
      const listeners = new Map<string, (message: Buffer) => void>()
      return {
        subscribe(channel, on, o) {
          listeners.set(channel, on)
          return port.subscribe(channel, (message) => void (listeners.get(channel) === on && on(message)), o)
        },
      }
    }),
    'every channel is heard': over((port) => {
      const listeners = new Set<(message: Buffer) => void>()
      return {
        subscribe(channel, on, o) {
          listeners.add(on)
          return port.subscribe(channel, (message) => listeners.forEach((listener) => listener(message)), o)
        },
      }
    }),
    'dedicated is the same connection': over((port) => {
      // What blocks on it lets nobody else through.
      let busy: Promise<unknown> = Promise.resolve()
      const queued = async <T>(call: () => Promise<T>): Promise<T> => {
        await busy
        return call()
      }
      return {
        command: (key, args) => queued(() => port.command(key, args)),
        async dedicated() {
          const dedicated = await port.dedicated()
          return {
            ...dedicated,
            command(key, args) {
              const answer = dedicated.command(key, args[0] === 'BLPOP' ? [...args.slice(0, -1), 1] : args)
              busy = answer.catch(() => {})
              return answer
            },
          }
        },
      }
    }),
    'a closed dedicated port still answers': over((port) => ({
      dedicated: async () => ({ ...(await port.dedicated()), async close() {} }),
    })),
  }
}

async function alone(port: RedisPort, key: string, command: PipelineCommand): Promise<RedisReply> {
  return (await port.pipeline(key, [command]))[0]!
}
