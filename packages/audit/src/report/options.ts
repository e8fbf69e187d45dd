import type { Audit, By } from '../audit.ts'
import { checkMembers, checkScope, inputFailure, shown } from '../input.ts'
import { FRAMEWORKS, type FrameworkName } from './frameworks.ts'
import type { Kind, Kinds } from './rule.ts'

/** What `complianceReport` takes. */
export interface ComplianceReportOptions {
  readonly framework: FrameworkName
  /** '*' for all. */
  readonly scope: string
  /** From then on, and before then. */
  readonly from: Date
  readonly to: Date
  /** Who asks: the reading is an entry, as `auditReads` says. */
  readonly by: By
  /**
   * ECS category and type of actions, or of 'user.*', for entries that do not say it themselves: best the catalogue that
   * `createAudit` has.
   */
  readonly actions?: Readonly<
    Record<string, { readonly category?: readonly string[]; readonly type?: readonly string[] }>
  >
  /** As `audit.verify` takes them. */
  readonly keys?: readonly string[]
  readonly against?: readonly string[]
}

/** What a report is made of: an `Audit` has it. */
export type Reported = Pick<Audit, 'export' | 'query' | 'get' | 'proof' | 'checkpoint' | 'verify'>

const MEMBERS = ['framework', 'scope', 'from', 'to', 'by', 'actions', 'keys', 'against']
const ACTION = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?$/
const WORD = /^[a-z0-9_-]{1,64}$/

/** Only what is right. @throws AuditError INPUT_INVALID, SCOPE_INVALID */
export function checkReportOptions(
  given: ComplianceReportOptions,
): ComplianceReportOptions & { readonly kinds: Kinds } {
  const owner = 'complianceReport'
  const o = checkMembers(owner, given, MEMBERS)
  if (typeof o.framework !== 'string' || !Object.hasOwn(FRAMEWORKS, o.framework)) {
    throw inputFailure(
      `${owner}: "framework" must be one of ${Object.keys(FRAMEWORKS).join(', ')} (got ${shown(o.framework)})`,
    )
  }
  if (o.scope !== '*') checkScope(owner, o.scope)
  for (const name of ['from', 'to'] as const) {
    if (o[name] instanceof Date && !Number.isNaN(o[name].getTime())) continue
    throw inputFailure(`${owner}: "${name}" must be a valid Date (got ${shown(o[name])})`)
  }
  if (o.from >= o.to) {
    throw inputFailure(`${owner}: "from" must be before "to" (got ${o.from.toISOString()} and ${o.to.toISOString()})`)
  }
  if (typeof o.by !== 'object' || o.by === null || typeof o.by.id !== 'string' || o.by.id === '') {
    throw inputFailure(`${owner}: "by" must be an actor: who asks for the report (got ${shown(o.by)})`)
  }
  return { ...o, kinds: kindsOf(owner, o.actions ?? {}) }
}

function kindsOf(owner: string, actions: unknown): Kinds {
  const isTable = typeof actions === 'object' && actions !== null && !Array.isArray(actions)
  if (!isTable) throw inputFailure(`${owner}: "actions" must be an object (got ${shown(actions)})`)
  const kinds: Record<string, Kind> = {}
  for (const [action, given] of Object.entries(actions)) {
    if (!ACTION.test(action)) {
      throw inputFailure(`${owner}: "actions" must have names such as 'user.update' or 'user.*' (got ${shown(action)})`)
    }
    // A catalogue has other members too, which mean nothing here.
    const { category, type } = (given ?? {}) as Kind
    for (const [name, words] of Object.entries({ category, type })) {
      if (words === undefined || (Array.isArray(words) && words.every((word) => WORD.test(String(word))))) continue
      throw inputFailure(`${owner}: "actions['${action}'].${name}" must be an array of ECS words (got ${shown(words)})`)
    }
    kinds[action] = { ...(category && { category }), ...(type && { type }) }
  }
  return kinds
}
