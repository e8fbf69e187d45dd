import type { Effect } from '@keelson/kernel'
import { applyWins } from './apply-wins.ts'
import type { CheckedCollection } from './checked-collection.ts'
import { decide, type Decision, type Incoming, type PushRules, type Refusal } from './decide.ts'
import { OpRejected } from './op-rejected.ts'
import type { Pushing, RecordKey } from './store.ts'

/** Class 23 of SQLSTATE: what was written breaks a constraint. */
const CONSTRAINT = /^23/

/** What a push comes to once the application has taken it. */
export interface Settled {
  readonly decision: Decision
  readonly effects: readonly Effect[]
}

/** There are records that must be locked too, before anything can be decided. */
export class NeedsKeys extends Error {
  override readonly name = 'NeedsKeys'
  readonly keys: readonly RecordKey[]

  constructor(keys: readonly RecordKey[]) {
    super('a push touches more records than it has locked')
    this.keys = keys
  }
}

/**
 * Decides and applies, until what is left can be applied: an operation that is refused fails alone. One savepoint for all;
 * only who breaks a constraint is looked for, by halves.
 */
export async function settlePush(
  incoming: readonly Incoming[],
  rules: PushRules,
  collections: ReadonlyMap<string, CheckedCollection>,
  { state, tx, attempt }: Pushing,
  known: ReadonlySet<string>,
): Promise<Settled> {
  const refused = new Map<string, Refusal>()

  async function decideFirst(count: number): Promise<Decision> {
    const decision = await decide(incoming.slice(0, count), rules, state, known, refused)
    if (decision.unknown.length > 0) throw new NeedsKeys(decision.unknown)
    return decision
  }
  /** Whether the first of them can be applied; what they wrote is taken back. */
  async function breaks(count: number): Promise<unknown> {
    const decision = await decideFirst(count)
    try {
      await attempt(async () => {
        await applyWins(decision, collections, rules.who, tx)
        throw TAKE_BACK
      })
    } catch (error) {
      return error === TAKE_BACK ? undefined : error
    }
    return undefined
  }
  /** The operation without which those before it can be applied. */
  async function culprit(first: unknown): Promise<string> {
    let [good, bad, error] = [0, incoming.length, first]
    while (bad - good > 1) {
      const middle = (good + bad) >> 1
      const found = await breaks(middle)
      if (found === undefined) good = middle
      else [bad, error] = [middle, found]
      if (found !== undefined && !isConstraint(found)) throw found as Error
    }
    const one = incoming[bad - 1]!
    if (one.kind !== 'op' || refused.has(one.op.op)) throw error
    return one.op.op
  }

  for (;;) {
    const decision = await decideFirst(incoming.length)
    if (decision.wins.length === 0) return { decision, effects: [] }
    try {
      return { decision, effects: await attempt(() => applyWins(decision, collections, rules.who, tx)) }
    } catch (error) {
      if (error instanceof OpRejected) {
        const { op, code, detail } = error
        if (refused.has(op) || !decision.wins.some((win) => win.op === op)) throw error
        refused.set(op, { status: 'rejected', code, ...(detail === undefined ? {} : { detail }) })
      } else if (tx !== undefined && isConstraint(error)) {
        refused.set(await culprit(error), { status: 'conflict', code: 'invariant' })
      } else throw error
    }
  }
}

const TAKE_BACK = new Error('taken back')

function isConstraint(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (CONSTRAINT.test(String((cause as { code?: unknown }).code))) return true
  }
  return false
}
