import type { Leaf, Search } from '../store.ts'

/** An entry is one of those that are looked for; order and place apart. */
export function matches(leaf: Leaf, q: Search): boolean {
  if (q.scope !== null && leaf.scope !== q.scope) return false
  if (q.actor !== undefined && !isOne(q.actor, leaf.actorType, leaf.actorId)) return false
  if (q.target !== undefined && !isOne(q.target, leaf.targetType, leaf.targetId)) return false
  if (q.action !== undefined && leaf.action !== q.action) return false
  if (q.actionPrefix !== undefined && !leaf.action.startsWith(q.actionPrefix)) return false
  if (q.ref !== undefined && !leaf.refs.includes(q.ref)) return false
  if (q.outcome !== undefined && leaf.outcome !== q.outcome) return false
  if (q.correlationId !== undefined && leaf.correlationId !== q.correlationId) return false
  if (q.fromMs !== undefined && leaf.atMs < q.fromMs) return false
  return q.toMs === undefined || leaf.atMs < q.toMs
}

function isOne(
  wanted: { readonly type: string; readonly id?: string },
  type: string | null,
  id: string | null,
): boolean {
  return wanted.type === type && (wanted.id === undefined || wanted.id === id)
}
