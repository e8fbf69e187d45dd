import type { OpResult } from './wire.ts'

/**
 * A result as it is remembered, without its operation: one that says no more than that it was applied, as most do, is
 * its stamp; the others are JSON. An erasure must not have to look for values here: what the record is is looked up when
 * it is asked for again; a detail may quote what it speaks of, and is told once.
 */
export function resultText({ op: _op, detail: _detail, ...answer }: OpResult): string {
  const { status, h, ...more } = answer
  if (status === 'applied' && h !== undefined && Object.keys(more).length === 0) return h
  return JSON.stringify(answer.rec ? { ...answer, rec: {} } : answer)
}

/** What was remembered of an operation. */
export function resultOf(op: string, text: string): OpResult {
  return text.startsWith('{')
    ? { op, ...(JSON.parse(text) as Omit<OpResult, 'op'>) }
    : { op, status: 'applied', h: text }
}
