import type { Key } from '../../src/key.ts'
import type { L1Entry, L1Scope, NewL1Entry } from '../../src/l1/l1.ts'
import { keyOf, SCOPE_TAG } from '../../src/tag.ts'

/** An entry without an end, with these tags beside its own. */
export function entryOf(key: Key, tags: readonly string[] = [], more: Partial<NewL1Entry> = {}): NewL1Entry {
  return {
    value: { key },
    bytes: 100,
    tags: [keyOf(key), SCOPE_TAG, ...tags],
    stamp: '1',
    fill: 'f',
    loadMs: 1,
    storedMs: 0,
    endsMs: 1e9,
    goneMs: 1e9,
    ...more,
  }
}

/** Puts it as read just now. */
export function put(scope: L1Scope, key: Key, tags: readonly string[] = [], more: Partial<NewL1Entry> = {}): L1Entry {
  const entry = scope.put(key, scope.generation, entryOf(key, tags, more))
  if (entry === undefined) throw new Error('refused')
  return entry
}
