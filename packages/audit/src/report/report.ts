import type { Verdict } from '../audit.ts'
import type { FrameworkName } from './frameworks.ts'

/** What a control's evidence comes to. */
export type Finding =
  /** There is some. */
  | 'evidence'
  /** Some of it is missing. */
  | 'partial'
  /** Nothing in this range. */
  | 'none'
  /** The log shows the opposite. */
  | 'contradicted'
  /** No log can show it. */
  | 'beyond'

/** An entry that stands for others. Its proof is among the report's. */
export interface Sample {
  readonly id: string
  /** Null: the entry cannot be found by its id; `verify` says what is wrong. */
  readonly index: number | null
  readonly at: string
  readonly action: string
  readonly outcome: string
  readonly actor: { readonly type: string; readonly id: string }
  /** Base64. */
  readonly leaf: string
}

/** What the log has to say to a control. */
export interface ControlReport {
  readonly id: string
  readonly title: string
  readonly finding: Finding
  readonly shows: string
  /** What nobody can conclude from it. */
  readonly limits: string
  /** In words, where it is not entries that are counted. */
  readonly detail: string | null
  /** KQL over the entries; null where none are counted. */
  readonly query: string | null
  readonly count: number
  readonly failures: number
  readonly first: string | null
  readonly last: string | null
  readonly samples: readonly Sample[]
}

/** What a log can show of the controls of a framework. Nothing in it is of the moment at which it was made. */
export interface ComplianceReport {
  readonly format: 1
  readonly framework: { readonly id: FrameworkName; readonly name: string }
  readonly scope: string
  /** From then on, and before then. */
  readonly from: string
  readonly to: string
  /** The whole log, as it was read and hashed again. */
  readonly log: Pick<Verdict, 'size' | 'root' | 'integrity' | 'completeness' | 'coverage' | 'problems'> & {
    /** The newest signed one, and how many entries it vouches for. */
    readonly checkpoint: string | null
    readonly signed: number
  }
  readonly entries: {
    readonly count: number
    readonly failures: number
    readonly first: string | null
    readonly last: string | null
    /** Instant of the oldest entry of the scope that is kept, in the order of the log. */
    readonly oldest: string | null
    /** Lines that are no entries. */
    readonly unreadable: number
    /** Those whose actions have neither a category nor a type: they count for no control that asks for one. */
    readonly unclassified: {
      readonly count: number
      readonly actions: readonly { readonly action: string; readonly count: number }[]
    }
  }
  /** KQL: within it each control's query is asked. */
  readonly query: string
  readonly controls: readonly ControlReport[]
  /** c2sp.org/tlog-proof@v1, of all samples. */
  readonly proofs: readonly { readonly id: string; readonly proof: string }[]
}
