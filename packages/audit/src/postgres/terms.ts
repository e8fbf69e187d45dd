import type { Facts, Search } from '../store.ts'

/*
 * What an entry is found by, as numbers: one index holds them all (GIN: few bytes and little work a term), where a B-tree
 * for each kind would be most of what sealing costs. Two terms may be one number, so whoever finds by them looks at the
 * columns too.
 */

/** Of an entry. `success`, which nearly all are, is not looked for. */
export function termsOf(log: string, facts: Facts): number[] {
  const { scope, actorId, action, targetId, outcome, correlationId, refs } = facts
  const terms = [term(log, 's', scope), term(log, 'x', action)]
  for (let dot = action.indexOf('.'); dot >= 0; dot = action.indexOf('.', dot + 1)) {
    terms.push(term(log, 'p', action.slice(0, dot + 1)))
  }
  if (actorId !== null) terms.push(term(log, 'a', actorId))
  if (targetId !== null) terms.push(term(log, 't', targetId))
  if (outcome !== 'success') terms.push(term(log, 'o', outcome))
  if (correlationId !== null) terms.push(term(log, 'c', correlationId))
  for (const ref of refs) terms.push(term(log, 'r', ref))
  return terms
}

/** Those that everything that is searched for has. */
export function termsOfSearch(log: string, q: Search): number[] {
  const { scope, actor, action, actionPrefix, target, ref, outcome, correlationId } = q
  const prefix = actionPrefix?.slice(0, actionPrefix.lastIndexOf('.') + 1)
  const wanted: readonly (readonly [kind: string, value: string | null | undefined])[] = [
    ['s', scope],
    ['x', action],
    ['p', prefix === '' ? undefined : prefix],
    ['a', actor?.id],
    ['t', target?.id],
    ['o', outcome === 'success' ? undefined : outcome],
    ['c', correlationId],
    ['r', ref],
  ]
  return wanted.flatMap(([kind, value]) => (value == null ? [] : [term(log, kind, value)]))
}

/** FNV-1a, as the int4 that Postgres keeps. */
function term(log: string, kind: string, value: string): number {
  let hash = 0x811c9dc5
  for (const text of [log, kind, value]) {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return hash | 0
}
