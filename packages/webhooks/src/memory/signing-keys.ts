import type { KeyRow, KeyRows } from '../store.ts'
import type { State } from './state.ts'

export function createSigningKeys({ now }: Pick<State, 'now'>): KeyRows {
  const keys = new Map<string, KeyRow>()
  return {
    async insert(row, expiresInMs) {
      const nowMs = now()
      const kept = { ...row, createdAtMs: nowMs, expiresAtMs: expiresInMs === null ? null : nowMs + expiresInMs }
      keys.set(row.keyId, kept)
      return kept
    },
    async get(keyId) {
      return keys.get(keyId) ?? null
    },
    async list(scope, principal) {
      const mine = [...keys.values()].filter((row) => row.scope === scope)
      return mine.filter((row) => principal === undefined || row.principal === principal)
    },
    async expire(scope, keyId, inMs) {
      const row = keys.get(keyId)
      if (row?.scope !== scope) return false
      keys.set(keyId, { ...row, expiresAtMs: Math.min(now() + inMs, row.expiresAtMs ?? Infinity) })
      return true
    },
  }
}
