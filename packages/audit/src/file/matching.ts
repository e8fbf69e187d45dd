import type { Leaf, Search } from '../store.ts'
import { inRecord } from './leaf-record.ts'

/** The leaf is looked for; its place is not asked about. */
export function isMatch(leaf: Leaf, q: Search): boolean {
  return (
    (q.scope === null || leaf.scope === q.scope) &&
    (q.action === undefined || leaf.action === q.action) &&
    (q.actionPrefix === undefined || leaf.action.startsWith(q.actionPrefix)) &&
    (q.outcome === undefined || leaf.outcome === q.outcome) &&
    (q.correlationId === undefined || leaf.correlationId === q.correlationId) &&
    (q.fromMs === undefined || leaf.atMs >= q.fromMs) &&
    (q.toMs === undefined || leaf.atMs < q.toMs) &&
    (q.ref === undefined || leaf.refs.includes(q.ref)) &&
    isThing(q.actor, leaf.actorType, leaf.actorId) &&
    isThing(q.target, leaf.targetType, leaf.targetId)
  )
}

function isThing(asked: Search['actor'], type: string | null, id: string | null): boolean {
  return asked === undefined || (asked.type === type && (asked.id === undefined || asked.id === id))
}

/** Bytes that each record of such a leaf has: where they are not, nothing has to be parsed. */
export function needlesOf(q: Search): Buffer[] {
  const texts = [q.scope, q.action, q.correlationId, q.ref, q.actor?.id, q.target?.id, q.actor?.type, q.target?.type]
  return texts.flatMap((text) => (text == null ? [] : [inRecord(text)]))
}
