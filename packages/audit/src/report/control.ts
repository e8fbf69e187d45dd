import type { Rule } from './rule.ts'

/** What the log itself can say, beside its entries. */
export type LogFact =
  /** Nothing that was sealed is another now. */
  | 'integrity'
  /** How much is known to be lost. */
  | 'coverage'
  /** How far back entries are kept. */
  | 'retention'

/** What shows that a control is at work. */
type Evidence =
  /** Entries of which one of these rules is true. */
  | { readonly kind: 'entries'; readonly any: readonly Rule[] }
  /** Entries that say who, what, when, how it ended, from where, and on what. */
  | { readonly kind: 'details' }
  | { readonly kind: 'log'; readonly of: LogFact }
  /** None that a log could have. */
  | { readonly kind: 'beyond' }

/** A control of a framework. */
export interface Control {
  /** As the framework writes it. */
  readonly id: string
  readonly title: string
  /** What the evidence is evidence of. */
  readonly shows: string
  /** What nobody can conclude from it; for one that is beyond the log, who can tell. */
  readonly limits: string
  readonly evidence: Evidence
}

/** A framework's controls to which a log has something to say, and those where one may expect it in vain. */
export interface Framework {
  readonly name: string
  readonly controls: readonly Control[]
}
