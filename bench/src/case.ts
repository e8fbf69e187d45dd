/** What an area says: cases, who runs in them, and what must come out. */
import type { Services } from './services.ts'

/** What one run measured, by name; the unit ends the name: 'per s', 'p99 ms', 'us', 'bytes'. */
export type Figures = Readonly<Record<string, number>>

/** A contender that is set up. */
export interface Running {
  /** Works for about `forMs` and answers what it measured. Called once to warm up, then once a round. */
  run(forMs: number): Promise<Figures> | Figures
  close?(): Promise<void>
}

/** Ours or a peer. */
export interface Contender {
  readonly name: string
  open(): Promise<Running> | Running
}

/** What must hold of a contender's figure: the figure itself, or compared with another contender's, round by round. */
export interface Target {
  /** Name of the contender. */
  readonly of: string
  readonly figure: string
  /** Name of the contender whose figure ours is divided by. */
  readonly over?: string
  /** Name of the contender whose figure is taken from ours. */
  readonly minus?: string
  readonly atLeast?: number
  readonly atMost?: number
  /** What we want; `atLeast` or `atMost` is what must be. */
  readonly aim?: number
}

/** One table. */
export interface Case {
  readonly name: string
  /** What is compared with what, in a line. */
  readonly note?: string
  readonly contenders: readonly Contender[]
  /** Name of the contender that is 1 in the column of ratios, taken of the first figure. */
  readonly base?: string
  readonly targets?: readonly Target[]
  /** Of each contender in each round; default 1000. */
  readonly runMs?: number
  /** Of each contender, once; default half a `runMs`. */
  readonly warmUpMs?: number
  /** Counts are the same every time: one round, no warm-up. */
  readonly exact?: boolean
}

/** The cases of a folder in `areas/`: the default export of its index.ts. */
export type Area = (services: Services) => readonly Case[]
