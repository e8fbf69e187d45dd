import type { Facts, Leaf } from '../store.ts'
import { readId, writeId } from './ids.ts'

/** Id in 16 bytes, then the facts as a JSON array in this order. */
type FactsArray = [
  Facts['atMs'],
  Facts['scope'],
  Facts['actorType'],
  Facts['actorId'],
  Facts['action'],
  Facts['targetType'],
  Facts['targetId'],
  Facts['outcome'],
  Facts['correlationId'],
  Facts['refs'],
]

export function writeLeaf(leaf: Leaf): Buffer {
  const facts: FactsArray = [
    leaf.atMs,
    leaf.scope,
    leaf.actorType,
    leaf.actorId,
    leaf.action,
    leaf.targetType,
    leaf.targetId,
    leaf.outcome,
    leaf.correlationId,
    leaf.refs,
  ]
  const text = JSON.stringify(facts)
  const bytes = Buffer.allocUnsafe(16 + Buffer.byteLength(text))
  writeId(leaf.id, bytes, 0)
  bytes.write(text, 16)
  return bytes
}

/** A record that is broken says nothing but that something was there. */
export function readLeaf(index: number, record: Buffer | null): Leaf {
  if (record === null) return { ...UNKNOWN, index }
  const [atMs, scope, actorType, actorId, action, targetType, targetId, outcome, correlationId, refs] = JSON.parse(
    record.toString('utf8', 16),
  ) as FactsArray
  const id = readId(record, 0)
  return {
    index,
    id,
    atMs,
    scope,
    actorType,
    actorId,
    action,
    targetType,
    targetId,
    outcome,
    correlationId,
    refs,
  }
}

/** How a text stands in a record. */
export function inRecord(text: string): Buffer {
  return Buffer.from(JSON.stringify(text))
}

const UNKNOWN: Leaf = {
  index: 0,
  id: '00000000-0000-0000-0000-000000000000',
  atMs: 0,
  scope: '',
  actorType: null,
  actorId: null,
  action: '',
  targetType: null,
  targetId: null,
  outcome: 'unknown',
  correlationId: null,
  refs: [],
}
