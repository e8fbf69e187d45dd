import { readPageCursor, writePageCursor } from '@keelson/kernel/page-cursor'
import type { Query } from './audit.ts'
import { checkLimit, checkMembers, checkScope, checkText, inputFailure, shown } from './input.ts'
import type { Search } from './store.ts'

const MEMBERS = ['scope', 'actor', 'action', 'target', 'subject', 'outcome', 'from', 'to', 'order', 'limit', 'after']
const OUTCOMES: readonly unknown[] = ['success', 'failure', 'unknown']
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000
const ACTION = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?$/

/** A query as stores take it, and how its pages follow each other. */
export interface CheckedQuery {
  readonly search: Search
  /** The `next` behind this index. */
  nextAfter(index: number): string
}

/** `refOf` names a person within a scope. @throws AuditError INPUT_INVALID, SCOPE_INVALID */
export function checkQuery(
  owner: string,
  given: Query,
  refOf: (scope: string, subject: string) => string,
): CheckedQuery {
  const q = checkMembers(owner, given, MEMBERS)
  const { scope, action, subject, outcome, order = 'desc', limit = DEFAULT_LIMIT, after } = q
  if (scope !== '*') checkScope(owner, scope)
  if (action !== undefined && !(typeof action === 'string' && ACTION.test(action))) {
    throw inputFailure(`${owner}: "action" must be one such as 'user.update', or 'user.*' (got ${shown(action)})`)
  }
  if (outcome !== undefined && !OUTCOMES.includes(outcome)) {
    throw inputFailure(`${owner}: "outcome" must be success, failure or unknown (got ${shown(outcome)})`)
  }
  if (order !== 'desc' && order !== 'asc') {
    throw inputFailure(`${owner}: "order" must be desc or asc (got ${shown(order)})`)
  }
  checkLimit(owner, limit, MAX_LIMIT)
  if (subject !== undefined) {
    checkText(owner, 'subject', subject)
    if (scope === '*') throw inputFailure(`${owner}: "subject" belongs to one scope; '*' is not one`)
  }
  const fromMs = instantOf(owner, 'from', q.from)
  const toMs = instantOf(owner, 'to', q.to)
  const isPrefix = action?.endsWith('.*') === true
  const search: Omit<Search, 'after'> = {
    scope: scope === '*' ? null : scope,
    order,
    limit,
    ...named(owner, 'actor', q.actor),
    ...named(owner, 'target', q.target),
    ...(action === undefined ? {} : isPrefix ? { actionPrefix: action.slice(0, -1) } : { action }),
    ...(subject === undefined ? {} : { ref: refOf(scope, subject) }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
  }
  const { limit: _, ...bound } = search
  const place = after === undefined ? undefined : readPageCursor(bound, after)
  if (after !== undefined && place === undefined) {
    throw inputFailure(`${owner}: "after" must be the "next" of a page of the same query`)
  }
  return {
    search: place === undefined ? search : { ...search, after: Number(place) },
    nextAfter: (index) => writePageCursor(bound, String(index)),
  }
}

function instantOf(owner: string, name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.getTime()
  throw inputFailure(`${owner}: "${name}" must be a valid Date (got ${shown(value)})`)
}

function named<N extends 'actor' | 'target'>(
  owner: string,
  name: N,
  given: { readonly type: string; readonly id?: string } | undefined,
): { readonly [K in N]?: { readonly type: string; readonly id?: string } } {
  if (given === undefined) return {}
  const { type, id } = checkMembers(`${owner}: "${name}"`, given, ['type', 'id'])
  checkText(owner, `${name}.type`, type)
  if (id !== undefined) checkText(owner, `${name}.id`, id)
  return { [name]: { type, ...(id === undefined ? {} : { id }) } } as { readonly [K in N]?: { type: string } }
}
