import { prepared, type Ask } from '@keelson/kernel/postgres'
import type { AuditStore } from '../store.ts'
import { destroyKeysSql, keysSql } from './key.sql.ts'
import { fromText, toText } from './text.ts'

interface KeyColumns {
  readonly scope: string
  readonly ref: string
  readonly entry: string
  readonly wrapped: string
}

/** Keys of persons: the only rows that belong to an entry and may go before it. */
export function createKeys(schema: string, ask: Ask): Pick<AuditStore, 'keys' | 'destroyKeys'> {
  const sql = { keys: keysSql(schema), destroy: destroyKeysSql(schema) }
  return {
    async keys(log, entries) {
      if (entries.length === 0) return []
      const rows = await ask<KeyColumns>(prepared(sql.keys, [log, entries.join(',')]))
      return rows.map(({ scope, ref, entry, wrapped }) => {
        return { scope: fromText(scope), ref: fromText(ref), entry, wrapped: Buffer.from(wrapped, 'base64') }
      })
    },

    async destroyKeys(log, scope, ref) {
      const [row] = await ask<{ n: number }>(prepared(sql.destroy, [log, toText(scope), toText(ref)]))
      return row!.n
    },
  }
}
