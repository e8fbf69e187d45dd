import { type Ask, prepared } from '@keelson/kernel/postgres'
import type { KeyRow, KeyRows } from '../store.ts'
import { fromText, toText } from './text.ts'

interface Row {
  readonly key_id: string
  readonly scope: string
  readonly principal: string
  readonly sealed: Uint8Array
  readonly created_ms: number
  readonly expires_ms: number | null
}

export function createSigningKeys(schema: string, ask: Ask): KeyRows {
  const columns = `key_id, scope, principal, sealed, created_ms::float8 as created_ms, expires_ms::float8 as expires_ms`
  const now = `${schema}.webhook_now()`
  const sql = {
    insert: `insert into ${schema}.webhook_key (key_id, scope, principal, sealed, created_ms, expires_ms)
select $1, $2, $3, $4::bytea, n.ms, ceil(n.ms + $5::float8) from (select ${now}) as n(ms)
on conflict (key_id) do update set scope = excluded.scope, principal = excluded.principal, sealed = excluded.sealed,
  created_ms = excluded.created_ms, expires_ms = excluded.expires_ms
returning ${columns}`,
    one: `select ${columns} from ${schema}.webhook_key where key_id = $1`,
    list: `select ${columns} from ${schema}.webhook_key
where scope = $1 and principal = coalesce($2, principal) order by n`,
    expire: `update ${schema}.webhook_key set expires_ms = least(expires_ms, ceil(${now} + $3::float8)::bigint)
where scope = $1 and key_id = $2 returning 1`,
  }
  return {
    async insert({ keyId, scope, principal, sealed }, expiresInMs) {
      const values = [keyId, scope, toText(principal), sealed, expiresInMs]
      const [row] = await ask<Row>(prepared(sql.insert, values))
      return readKey(row!)
    },
    async get(keyId) {
      const [row] = await ask<Row>(prepared(sql.one, [keyId]))
      return row === undefined ? null : readKey(row)
    },
    async list(scope, principal) {
      return (await ask<Row>(prepared(sql.list, [scope, toText(principal) ?? null]))).map(readKey)
    },
    async expire(scope, keyId, inMs) {
      return (await ask(prepared(sql.expire, [scope, keyId, inMs]))).length > 0
    },
  }
}

function readKey(row: Row): KeyRow {
  return {
    keyId: row.key_id,
    scope: row.scope,
    principal: fromText(row.principal),
    sealed: new Uint8Array(row.sealed),
    createdAtMs: row.created_ms,
    expiresAtMs: row.expires_ms,
  }
}
