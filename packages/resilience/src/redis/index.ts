import { checkOptions, opt } from '@keelson/kernel'
import {
  redisPort,
  type Arg,
  type IoredisLike,
  type NodeRedisLike,
  type RedisPort,
  type RedisReply,
} from '@keelson/kernel/redis'
import { optionFailure } from '../error.ts'
import { unitUs } from '../limiter/algorithms/gcra.ts'
import { msOf } from '../limiter/decide-take.ts'
import type { LimiterStore, QuotaSpec, StoreAnswer } from '../limiter/store.ts'
import { refundScript } from './refund.lua.ts'
import { takeScript } from './take.lua.ts'

const SPEC = {
  prefix: opt.string('keelson:rl', { match: /^[^\s{}]+$/, allowed: 'a text without spaces and braces' }),
}

/**
 * Counters in Redis 6.2 or later: an ioredis 5 or 6 Redis or Cluster, a node-redis client or cluster, or a RedisPort.
 * One script a step, time by the server; all keys of a subject share a slot and expire. Nothing is sent before the
 * first call; the client stays the application's. `prefix` stands in front of every key; default 'keelson:rl'.
 * @throws ResilienceError OPTION_INVALID; KernelError OPTION_INVALID for what is no client
 */
export function redisStore(
  client: IoredisLike | NodeRedisLike | RedisPort,
  options: { readonly prefix?: string } = {},
): LimiterStore {
  const { prefix } = checkOptions('redisStore', options, SPEC, optionFailure)
  const port = redisPort(client)

  function keysOf(subject: string, quotas: readonly QuotaSpec[]): string[] {
    return quotas.map(({ key }) => `${prefix}:{${subject}}:${key}`)
  }

  async function take(subject: string, quotas: readonly QuotaSpec[], cost: number, atLeast: number) {
    const args: Arg[] = [cost, atLeast]
    for (const spec of quotas) args.push(...argsOf(spec))
    return answerOf((await port.script(takeScript(quotas), keysOf(subject, quotas), args)) as RedisReply[])
  }

  return {
    take: async (subject, quotas, cost, atLeast = cost) => take(subject, quotas, cost, atLeast),
    peek: async (subject, quotas, cost) => take(subject, quotas, 0, cost),
    async refund(subject, quotas, tokens, cost) {
      const args = quotas.flatMap((spec, i): Arg[] => [
        spec.algorithm,
        tokens[i]!,
        spec.algorithm === 'gcra' ? unitUs(spec) : 0,
      ])
      await port.script(refundScript, keysOf(subject, quotas), [cost, ...args])
    },
    async reset(subject, quotas) {
      const keys = keysOf(subject, quotas)
      await port.command(keys[0]!, ['DEL', ...keys])
    },
  }
}

function argsOf(spec: QuotaSpec): Arg[] {
  if (spec.algorithm === 'calendar') return ['calendar', spec.limit, ...spec.bounds.map((boundMs) => boundMs * 1_000)]
  const burst = spec.algorithm === 'gcra' ? spec.burst : 0
  return [spec.algorithm, spec.limit, spec.windowMs * 1_000, burst, 0, 0]
}

function answerOf([granted, nowUs, ...rest]: RedisReply[]): StoreAnswer {
  const quotas: StoreAnswer['quotas'][number][] = []
  for (let i = 0; i < rest.length; i += 4) {
    const [remaining, waitUs, fullUs, token] = rest.slice(i, i + 4) as [number, number, number, Buffer]
    quotas.push({
      remaining,
      retryAfterMs: waitUs < 0 ? Infinity : msOf(waitUs),
      resetMs: msOf(fullUs),
      token: token.toString(),
    })
  }
  return { granted: Math.max(0, granted as number), nowMs: (nowUs as number) / 1_000, quotas }
}
