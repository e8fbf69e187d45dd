import { isScope } from '@keelson/kernel'
import { Backoffs } from './backoffs.ts'
import { CacheError } from './error.ts'
import type { L1 } from './l1/l1.ts'
import type { ScopeState } from './scope-state.ts'
import { WakeUps } from './wake-ups.ts'

/**
 * The states of all scopes that anybody holds: a million tenants of the past cost nothing, once the event loop has
 * turned. Until then a weak reference keeps what it refers to: a loop over all tenants should now and then await I/O.
 */
export interface ScopeStates {
  /** @throws CacheError SCOPE_INVALID */
  of(name: string): ScopeState
  find(name: string): ScopeState | undefined
}

export function createScopeStates(l1: L1 | undefined): ScopeStates {
  const states = new Map<string, WeakRef<ScopeState>>()
  const registry = new FinalizationRegistry<string>((name) => {
    // Somebody may have come back meanwhile.
    if (states.get(name)?.deref() === undefined) states.delete(name)
  })

  const find = (name: string): ScopeState | undefined => states.get(name)?.deref()

  return {
    find,
    of(name) {
      const known = find(name)
      if (known !== undefined) return known
      if (!isScope(name)) {
        throw new CacheError('SCOPE_INVALID', 'a scope must be 1 to 128 bytes of text without control characters')
      }
      const state: ScopeState = {
        name,
        l1: l1?.scope(name),
        flights: new Map(),
        refreshing: new Set(),
        bypasses: new Map(),
        backoffs: new Backoffs(),
        wakeUps: new WakeUps(),
        cache: undefined,
      }
      states.set(name, new WeakRef(state))
      registry.register(state, name)
      return state
    },
  }
}
