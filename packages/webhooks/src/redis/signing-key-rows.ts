import type { RedisReply } from '@keelson/kernel/redis'
import type { KeyRows } from '../store.ts'
import { keyOf } from './rows.ts'
import type { Shards } from './shards.ts'
import { expireKeyScript, getKeyScript, insertKeyScript, listKeysScript } from './signing-keys.lua.ts'

/** All on the first shard: a key is found without its scope. */
export function keyRows({ names, run }: Shards): KeyRows {
  const shard = names[0]!
  return {
    async insert({ keyId, scope, principal, sealed }, expiresInMs) {
      return keyOf(await run(shard, insertKeyScript, [keyId, scope, principal, sealed, expiresInMs ?? '']))
    },
    async get(keyId) {
      const reply = await run(shard, getKeyScript, [keyId])
      return reply === null ? null : keyOf(reply)
    },
    async list(scope, principal) {
      const rows = ((await run(shard, listKeysScript, [scope])) as RedisReply[]).map(keyOf)
      return rows.filter((row) => principal === undefined || row.principal === principal)
    },
    expire: async (scope, keyId, inMs) => (await run(shard, expireKeyScript, [scope, keyId, inMs])) === 1,
  }
}
