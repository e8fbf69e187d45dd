import type { Arg, RedisReply } from '@keelson/kernel/redis'
import type { EndpointRow, EndpointRows } from '../store.ts'
import { clearScript, getScript, insertScript, listScript, putScript, removeScript } from './endpoints.lua.ts'
import { writeSecrets } from '../kept-secrets.ts'
import { laneOf } from './rows.ts'
import { packRules } from './rules.ts'
import type { Shards } from './shards.ts'

export function endpointRows(shards: Shards, mostRows: number): EndpointRows {
  return {
    async insert(row, max) {
      const reply = await shards.run(shards.of(row.scope), insertScript, [row.scope, row.id, max, ...rowArgs(row)])
      return reply === null ? 'limit' : laneOf(reply)
    },
    async get(scope, id) {
      const reply = await shards.run(shards.of(scope), getScript, [scope, id])
      return reply === null ? null : laneOf(reply)
    },
    async list(scope, { after = '', limit }) {
      const reply = await shards.run(shards.of(scope), listScript, [scope, after, limit])
      return (reply as RedisReply[]).map(laneOf)
    },
    async put(row, revision, heal) {
      const args = [row.scope, revision, heal ? 1 : 0, row.id, ...rowArgs(row)]
      const reply = await shards.run(shards.of(row.scope), putScript, args)
      return reply === null ? null : reply === 0 ? 'conflict' : laneOf(reply)
    },
    async remove(scope, id) {
      const shard = shards.of(scope)
      const lane = await shards.run(shard, removeScript, [scope, id])
      if (lane === null) return false
      while (Number(await shards.run(shard, clearScript, [mostRows, lane as Buffer])) > 0);
      return true
    },
  }
}

function rowArgs({ state, disabledReason, config, secrets, rules }: EndpointRow): Arg[] {
  return [state, disabledReason ?? '', config, writeSecrets(secrets), packRules(rules)]
}
