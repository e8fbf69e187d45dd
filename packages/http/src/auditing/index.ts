import type { EntryInput } from '@keelson/audit'
import {
  context,
  isKeelsonError,
  isScope,
  type Effect,
  type KeelsonContext,
  type StoredResponse,
} from '@keelson/kernel'
import { afterLeaving } from '../after-leaving.ts'
import { clientOf } from '../client-of.ts'
import { isKept } from '../decide-answer.ts'
import { scopeInvalid } from '../error.ts'
import type { Captured, Exchange } from '../exchange.ts'
import type { CheckedAuditedRule, CheckedIdempotentRule, ResponseHead } from '../policy.ts'
import { scopeOf } from '../owner.ts'
import { asReply, withEffect } from '../replies.ts'
import type { Audited, RequestState } from '../request-state.ts'
import type { RouteParts } from '../route.ts'
import { entryOf } from './entry-of.ts'
import { outcomeOf, type Outcome } from './outcome-of.ts'

/** Of a handler that has not ended its answer by then, with nobody to hear it, no more will be known. */
const LEFT_MS = 60_000
/** Of a refusal whose tenant is not known: where the log keeps what belongs to no tenant. */
const NO_TENANT = 'keelson'

/** What the rule has from its route. */
export interface AuditingParts extends RouteParts {
  /** With tenant and principal; throws what the application's functions throw. */
  contextOf(x: Exchange): KeelsonContext
  /** Which answers of a transaction stay. */
  readonly preset: CheckedIdempotentRule['preset']
  /** The answer is captured by this route. @throws HttpError CAPTURE_TWICE */
  claim(x: Exchange): void
}

/** Awaited when the handler's answer is known, before its last byte leaves. Never rejects. */
type Settled = (captured: Captured) => Promise<void>

/** The rule `audited` of one policy: a request leaves one entry, but none if its answer is that of an earlier one. */
export interface Auditing {
  /** The request has come: what others answer to it, such as its authentication, is told when that has left. */
  begin(x: Exchange): void
  /** This is the answer, and no handler runs. Settles when that is told. */
  answered(x: Exchange, answer: ResponseHead): Promise<void>
  /** Rejects when the handler must not run. */
  before(x: Exchange): Promise<void>
  /** The handler runs next, and `settled(x)` hears of its answer. */
  enter(x: Exchange): void
  settled(x: Exchange): Settled
  /** Around what answers in place of a handler of any style, or lets it run. */
  around(
    x: Exchange,
    rest?: (settled: Settled) => Promise<StoredResponse | undefined>,
  ): Promise<StoredResponse | undefined>
  /** A transactional handler's value, with its entry as an effect. */
  within(x: Exchange, value: unknown): unknown
  /** Around a transaction: what it takes back is told behind it. */
  committing(x: Exchange, write: () => Promise<StoredResponse>): Promise<StoredResponse>
}

export function auditing(rule: CheckedAuditedRule, parts: AuditingParts): Auditing {
  const { options: o, states, metrics, contextOf, claim } = parts
  const { action } = rule
  const audit = o.audit!

  const stateOf = (x: Exchange): RequestState => states.of(x)!

  /** What is known of a request; a policy may stand at two places of it. */
  function auditedOf(x: Exchange): Audited {
    const all = (stateOf(x).audited ??= new Map())
    const known = all.get(rule.given)
    if (known !== undefined) return known
    const made: Audited = { isTold: false, isEntered: false, committing: undefined, intent: undefined, left: undefined }
    all.set(rule.given, made)
    watchEnd(x, made)
    return made
  }

  /** A handler goes on without its client; for one that left before it nothing was done. */
  function watchEnd(x: Exchange, mine: Audited): void {
    x.onEnd(({ status, aborted }) => {
      if (aborted && (mine.isEntered || mine.intent === undefined)) return
      void tell(x, mine, { status, headers: [] })
    })
  }

  /** Beyond the deadline of its request, and none of its costs. */
  async function record(x: Exchange, entry: EntryInput, required: boolean): Promise<string> {
    const { correlationId = '', traceparent = '' } = stateOf(x).context
    const { id } = await context.resume({ correlationId, traceparent }, () => audit.record(entry, { required }))
    return id
  }

  function tellFailure(x: Exchange, err: unknown, what: string): void {
    const { correlationId } = stateOf(x).context
    o.logger.error({ err, action, method: x.method, route: x.route, correlationId }, what)
  }

  /** @throws HttpError SCOPE_INVALID */
  function scopeFor(x: Exchange, { tenant }: KeelsonContext): string {
    const scope = rule.scope === undefined ? tenant : scopeOf(x, rule.scope, o)
    if (isScope(scope)) return scope
    throw scopeInvalid('an audited request')
  }

  /** Once a request, and as much as can be known of it: what was done is done. */
  async function tell(x: Exchange, mine: Audited, head: ResponseHead | undefined, how?: Outcome): Promise<void> {
    if (mine.isTold || stateOf(x).isReplayed) return
    mine.isTold = true
    const status = head?.status
    const outcome = how ?? outcomeOf(status, x.signal.aborted)
    const known = attempt(() => contextOf(x)) ?? stateOf(x).context
    const about = {
      scope: attempt(() => scopeFor(x, known)) ?? NO_TENANT,
      action,
      outcome,
      principal: known.principal,
      address: clientOf(x, parts),
      status,
      intent: mine.intent,
    }
    // A request that was refused may not have what it is told from.
    const target = attempt(
      () => rule.target?.(x, head),
      (error) => outcome === 'success' && tellFailure(x, error, 'audited without its target'),
    )
    try {
      await record(x, entryOf(x, { ...about, target }), false)
    } catch (error) {
      if (target === undefined || !isKeelsonError(error, 'ENTRY_INVALID')) return lost(x, error)
      // Its id may be what a client wrote into a path.
      tellFailure(x, error, 'audited without its target')
      await record(x, entryOf(x, about), false).catch((again: unknown) => lost(x, again))
    }
  }

  function lost(x: Exchange, error: unknown): void {
    metrics.notAudited.inc({ why: isKeelsonError(error) ? error.code.toLowerCase().replaceAll('_', '-') : 'failed' })
    tellFailure(x, error, 'answered, but not audited')
  }

  async function before(x: Exchange): Promise<void> {
    const mine = auditedOf(x)
    const known = contextOf(x)
    const entry = entryOf(x, {
      scope: scopeFor(x, known),
      action,
      outcome: 'unknown',
      principal: known.principal,
      address: clientOf(x, parts),
      target: rule.required ? rule.target?.(x) : undefined,
    })
    // Who has a name that the log refuses must not act unseen.
    if (!rule.required) return void audit.entry(entry)
    try {
      mine.intent = await record(x, entry, true)
    } catch (error) {
      mine.isTold = true
      throw error
    }
  }

  function enter(x: Exchange): void {
    const mine = auditedOf(x)
    mine.isEntered = true
    mine.left = afterLeaving(x, o.clock, LEFT_MS, () => void tell(x, mine, undefined))
  }

  const settled =
    (x: Exchange): Settled =>
    async (captured) => {
      const mine = auditedOf(x)
      mine.left?.cancel()
      if (captured.kind !== 'abandoned') {
        return tell(x, mine, captured.kind === 'whole' ? captured.response : captured)
      }
      if (captured.hasBegun !== false) return tell(x, mine, undefined)
      // It was never entered: what is answered in its place nobody captures.
      mine.isEntered = false
      watchEnd(x, mine)
    }

  return {
    begin: (x) => void auditedOf(x),
    answered: async (x, answer) => tell(x, auditedOf(x), answer),
    before,
    enter,
    settled,

    async around(x, rest) {
      await before(x)
      const state = stateOf(x)
      const wasClaimed = state.isClaimed
      const answer = await rest?.(settled(x))
      if (answer !== undefined) {
        await tell(x, auditedOf(x), answer)
        return answer
      }
      // Else what captures it tells of it.
      if (state.isClaimed === wasClaimed) {
        claim(x)
        x.capture({ maxBytes: o.maxStoredBytes, hold: 'last' }, async (captured) => {
          await settled(x)(captured)
          return undefined
        })
      }
      enter(x)
      return undefined
    },

    within(x, value) {
      const mine = auditedOf(x)
      const answer = asReply(value)
      const { response } = answer
      const { status } = response
      mine.committing = isKept(status, parts.preset) ? status : undefined
      if (mine.committing === undefined || answer.effects.some(tellsOf(action))) return answer
      const known = contextOf(x)
      const entry = entryOf(x, {
        scope: scopeFor(x, known),
        action,
        outcome: outcomeOf(status, false),
        principal: known.principal,
        address: clientOf(x, parts),
        target: rule.target?.(x, response),
        status,
      })
      return withEffect(answer, audit.entry(entry))
    },

    async committing(x, write) {
      const mine = auditedOf(x)
      mine.isEntered = true
      try {
        const answer = await write()
        if (mine.committing === answer.status) mine.isTold = true
        else await tell(x, mine, answer)
        return answer
      } catch (error) {
        const how = isKeelsonError(error, 'COMMIT_UNKNOWN') ? 'unknown' : 'failure'
        await tell(x, mine, { status: parts.statusOf(error, x), headers: [] }, how)
        throw error
      }
    },
  }
}

/** The handler's own entry, which knows more: what changed, for example. */
const tellsOf =
  (action: string) =>
  (effect: Effect): boolean =>
    effect.kind === 'audit.entry' && (effect as { readonly action?: unknown }).action === action

function attempt<T>(read: () => T, failed: (error: unknown) => unknown = () => {}): T | undefined {
  try {
    return read()
  } catch (error) {
    failed(error)
    return undefined
  }
}
