import type { RedisPort, RedisReply, Script, Arg } from '@keelson/kernel/redis'

/** The parts of a store: all keys of a scope are in one, and all keys of a part in one slot. */
export interface Shards {
  /** Their hash tags, which begin every key. */
  readonly names: readonly string[]
  of(scope: string): string
  run(shard: string, script: Script, args: readonly Arg[]): Promise<RedisReply>
  /** The same on each of them. */
  all(script: Script, args: readonly Arg[]): Promise<RedisReply[]>
  /** One after another, another one first each time, until `step` answers false. */
  each(step: (shard: string) => Promise<boolean>): Promise<void>
  /** Calls `step` once for each shard that has items, and gives the answers in the order of the items. */
  spread<T, R>(
    items: readonly T[],
    scopeOf: (item: T) => string,
    step: (shard: string, items: readonly T[]) => Promise<readonly R[]>,
  ): Promise<R[]>
}

export function createShards(port: RedisPort, prefix: string, count: number): Shards {
  const names = Array.from({ length: count }, (_, i) => `{${prefix}:${i}}`)
  let turn = 0
  const of = (scope: string): string => names[count === 1 ? 0 : hashOf(scope) % count]!
  const run = (shard: string, script: Script, args: readonly Arg[]): Promise<RedisReply> =>
    port.script(script, [shard], args)
  return {
    names,
    of,
    run,
    all: (script, args) => Promise.all(names.map((shard) => run(shard, script, args))),
    async each(step) {
      const first = turn++ % count
      for (let i = 0; i < count; i++) if (!(await step(names[(first + i) % count]!))) return
    },
    async spread(items, scopeOf, step) {
      if (items.length === 0) return []
      if (count === 1) return [...(await step(names[0]!, items))]
      const places = Map.groupBy(items.keys(), (i) => of(scopeOf(items[i]!)))
      const answers = Array.from<never>({ length: items.length })
      await Promise.all(
        Array.from(places, async ([shard, mine]) => {
          const some = await step(
            shard,
            mine.map((i) => items[i]!),
          )
          for (const [i, place] of mine.entries()) answers[place] = some[i] as never
        }),
      )
      return answers
    },
  }
}

/** FNV-1a of its UTF-16 units: the same for ever, since it says where a scope's rows are. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}
