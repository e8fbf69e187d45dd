import {
  redisPort,
  type Arg,
  type IoredisLike,
  type NodeRedisLike,
  type PipelineCommand,
  type RedisPort,
} from '../redis/index.ts'
import { faultsOf, suffer, type FaultPlan } from './fault-plan.ts'

/**
 * A RedisPort whose calls go wrong by plan: each `command`, `script` and `pipeline` is one call. The text of a command is
 * its words with spaces between them, that of a script its Lua, that of a pipeline all of these, a line each.
 * Subscriptions and dedicated connections are not touched.
 * @param client An ioredis or node-redis client, or a RedisPort.
 * @throws KernelError OPTION_INVALID for what is none of them.
 */
export function brokenRedis(client: IoredisLike | NodeRedisLike | RedisPort, plan: FaultPlan): RedisPort {
  const port = redisPort(client)
  const nextFault = faultsOf(plan)
  return {
    ...port,
    command: (key, args) => suffer(nextFault(textOf(args)), () => port.command(key, args)),
    pipeline: (key, commands) => suffer(nextFault(commands.map(textOf).join('\n')), () => port.pipeline(key, commands)),
    script: (script, keys, args) => suffer(nextFault(script.lua), () => port.script(script, keys, args)),
  }
}

function textOf(command: PipelineCommand): string {
  return 'script' in command ? command.script.lua : command.map(wordOf).join(' ')
}

function wordOf(arg: Arg): string {
  return arg instanceof Uint8Array ? Buffer.from(arg).toString('latin1') : String(arg)
}
