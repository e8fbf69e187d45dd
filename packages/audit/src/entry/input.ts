import { isPlainText, isScope, type Principal } from '@keelson/kernel'
import { AuditError } from '../error.ts'
import { actionAllowed, isAction, isOwnAction } from './action.ts'
import { entryFailure, kindOf, shown, shownName } from './failure.ts'
import { instantAllowed, instantOf } from './instant.ts'
import type { Redaction } from './redaction.ts'

const MEMBERS: ReadonlySet<string> = new Set([
  'scope',
  'action',
  'actor',
  'target',
  'outcome',
  'reason',
  'where',
  'old',
  'new',
  'data',
  'at',
  'id',
])
const ACTOR: ReadonlySet<string> = new Set(['type', 'id', 'name', 'roles'])
const TARGET: ReadonlySet<string> = new Set(['type', 'id', 'name'])
const WHERE: ReadonlySet<string> = new Set(['ip', 'userAgent', 'session', 'requestId', 'method', 'route'])

const UUIDV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TYPE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const MAX_ID = 256

/** An entry as it came, its fixed members checked. Texts that may be a person's are still as they came. */
export interface CheckedInput {
  readonly scope: string
  readonly action: string
  readonly actor: Party & { readonly roles: readonly string[] | undefined }
  readonly target: Party | undefined
  readonly outcome: 'success' | 'failure' | 'unknown'
  readonly reason: unknown
  readonly where: Readonly<Record<string, unknown>> | undefined
  readonly old: unknown
  readonly now: unknown
  readonly data: unknown
  readonly atMs: number | undefined
  readonly id: string | undefined
}

/** Who acts, or what is acted upon. */
interface Party {
  readonly type: string
  readonly id: string
  readonly name: unknown
}

/** Each member is read once; `own`: of the log about itself. @throws AuditError ENTRY_INVALID, SCOPE_INVALID */
export function checkInput(
  given: unknown,
  principal: Principal | undefined,
  rules: Redaction,
  own = false,
): CheckedInput {
  const input = membersOf(given, 'entry', MEMBERS)
  const { scope, action, actor, target, outcome = 'success', reason, where, old, new: now, data, at, id } = input
  // '*' is all scopes in a query: a tenant of that name would read those of others.
  if (!isScope(scope) || scope === '*') {
    const what = "must be 1 to 128 bytes of text without control characters, and not '*'"
    throw new AuditError('SCOPE_INVALID', `entry: "scope" ${what} (got ${kindOf(scope)})`)
  }
  if (!isAction(action)) throw entryFailure(`"action" must be ${actionAllowed} (got ${shown(action)})`)
  if (isOwnAction(action) && !own) throw entryFailure('"action" must not be audit.*: that is what the log itself says')
  noCard(scope, 'scope', rules)
  noCard(action, 'action', rules)
  if (outcome !== 'success' && outcome !== 'failure' && outcome !== 'unknown') {
    throw entryFailure(`"outcome" must be 'success', 'failure' or 'unknown' (got ${shown(outcome)})`)
  }
  const atMs = at === undefined ? undefined : instantOf(at)
  if (at !== undefined && atMs === undefined) {
    throw entryFailure(`"at" must be ${instantAllowed} (got ${shown(at)})`)
  }
  if (id !== undefined && !(typeof id === 'string' && UUIDV7.test(id))) {
    throw entryFailure(`"id" must be a UUIDv7 in lower case (got ${shown(id)})`)
  }
  return {
    scope,
    action,
    actor: actorOf(actor, principal, rules),
    target: target === undefined ? undefined : targetOf(target, rules),
    outcome,
    reason,
    where: where === undefined ? undefined : membersOf(where, '"where"', WHERE),
    old,
    now,
    data,
    atMs,
    id,
  }
}

function actorOf(given: unknown, principal: Principal | undefined, rules: Redaction): CheckedInput['actor'] {
  if (given === undefined && principal === undefined) {
    throw entryFailure('"actor" is required: the context has no principal')
  }
  const owner = given === undefined ? "the context's principal" : 'actor'
  const { type, id, name, roles } =
    given === undefined ? { ...principal, type: principal!.type ?? 'user' } : membersOf(given, '"actor"', ACTOR)
  const actor = { type, id, name, roles: roles === undefined ? undefined : rolesOf(roles, owner) }
  checkParty(actor, owner, rules)
  return actor
}

function rolesOf(given: unknown, owner: string): readonly string[] {
  if (!Array.isArray(given)) throw entryFailure(`"${owner}.roles" must be an array of texts (got ${kindOf(given)})`)
  const roles: string[] = []
  for (const role of given as unknown[]) {
    if (typeof role !== 'string') throw entryFailure(`"${owner}.roles" must have texts only (got ${kindOf(role)})`)
    roles.push(role)
  }
  return roles
}

function targetOf(given: unknown, rules: Redaction): Party {
  const { type, id, name } = membersOf(given, '"target"', TARGET)
  const party = { type, id, name }
  checkParty(party, 'target', rules)
  return party
}

function checkParty(party: { type: unknown; id: unknown }, owner: string, rules: Redaction): asserts party is Party {
  const { type, id } = party
  if (typeof type !== 'string' || !TYPE.test(type)) {
    throw entryFailure(`"${owner}.type" must be 1 to 64 of A-Z a-z 0-9 _ . - (got ${shown(type)})`)
  }
  if (typeof id !== 'string' || id === '' || id.length > MAX_ID || !isPlainText(id)) {
    const what = `must be a text of 1 to ${MAX_ID} characters, none of them a control character`
    throw entryFailure(`"${owner}.id" ${what} (got ${kindOf(id)})`)
  }
  noCard(type, `${owner}.type`, rules)
  noCard(id, `${owner}.id`, rules)
}

/** Where a number would stand in indexes and in names of files nothing is replaced. */
function noCard(text: string, field: string, rules: Redaction): void {
  if (rules.text(text) !== text) throw entryFailure(`"${field}" has a card number in it: use another identifier`)
}

/** An object of known members. Whoever takes them reads each of them once. */
function membersOf(given: unknown, owner: string, known: ReadonlySet<string>): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw entryFailure(`${owner === 'entry' ? 'it' : owner} must be an object (got ${kindOf(given)})`)
  }
  for (const name of Object.keys(given)) {
    if (known.has(name)) continue
    const where = owner === 'entry' ? '' : ` of ${owner}`
    throw entryFailure(`unknown field "${shownName(name)}"${where}; allowed are ${[...known].join(', ')}`)
  }
  return given as Readonly<Record<string, unknown>>
}
