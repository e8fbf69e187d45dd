import type { Statement } from '@keelson/kernel'
import { prepared, type Ask } from '@keelson/kernel/postgres'
import type { Stamp } from '../stamp.ts'
import type { ServerChange, SyncStore } from '../store.ts'
import { busyError, isLocked } from './errors.ts'

/** How long a change that is alone waits for what others hold; in a transaction the caller's own limit counts. */
const LOCK_MS = 4_000

/** What the server itself writes: one call of a function, wherever it is part of. */
export function createChanging(schema: string, ask: Ask): Required<Pick<SyncStore, 'change' | 'changeStatements'>> {
  const sql = `select ${schema}.sync_change($1::text::jsonb) as stamps`
  const statement = (changes: readonly ServerChange[], node: string, more: object = {}): Statement =>
    prepared(sql, [JSON.stringify({ node, changes, ...more })])

  async function alone(changes: readonly ServerChange[], node: string): Promise<readonly Answer[]> {
    try {
      return await ask<Answer>(statement(changes, node, { lockMs: LOCK_MS }))
    } catch (error) {
      throw isLocked(error) ? busyError(error) : error
    }
  }

  return {
    async change(changes, node, { tx } = {}) {
      if (changes.length === 0) return []
      const { text, values } = statement(changes, node)
      const rows = tx === undefined ? await alone(changes, node) : (await tx.query(text, values)).rows
      return JSON.parse((rows[0] as Answer).stamps) as (Stamp | null)[]
    },
    changeStatements: (changes, node) => (changes.length === 0 ? [] : [statement(changes, node)]),
  }
}

interface Answer {
  readonly stamps: string
}
