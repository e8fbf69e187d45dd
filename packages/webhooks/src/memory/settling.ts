import { afterSignal, afterSlow, type LaneNotice } from '../lane.ts'
import type { AttemptRow, ClaimToken, Reaped, Settled, Settlement, WebhookStore } from '../store.ts'
import { disable, type Lane } from './lane.ts'
import { end, pend } from './moves.ts'
import { attemptRow, note, type KeptDelivery } from './rows.ts'
import type { State } from './state.ts'

/** Leases that may end by themselves before a delivery is given up as poison. */
const MAX_CRASHES = 5

const STALE: Settled = { kind: 'stale' }
const CRASHED = { outcome: 'crashed', status: null, remoteAddress: null, response: null, error: null } as const

export function createSettling(state: State): Pick<WebhookStore, 'settle' | 'slow' | 'reap'> {
  const { scopes, leases } = state

  function known({ scope, delivery }: ClaimToken): KeptDelivery | undefined {
    return scopes.get(scope)?.deliveries.get(delivery)
  }

  function settle({ token, attempt, end: how, signal, rules }: Settlement, nowMs: number): Settled {
    const delivery = known(token)
    if (delivery?.lease?.fence !== token.fence) {
      if (delivery !== undefined && attempt !== null) logStale(delivery, token.fence, attempt, nowMs)
      return STALE
    }
    const { lane } = delivery
    if (attempt !== null) {
      delivery.attempts++
      delivery.spent++
      delivery.crashes = 0
      const row = attemptRow(attempt, token.fence, delivery.attempts, nowMs - attempt.durationMs)
      delivery.log = note(delivery, row)
    }
    if (rules !== undefined && rules !== lane.row.rules) lane.row = { ...lane.row, rules }
    const after = afterSignal(lane.health, lane.row.rules, signal, nowMs)
    lane.health = after.lane
    const notices = after.notices.length === 0 ? after.notices : heard(lane, after.notices, nowMs)
    if (how.kind === 'succeeded') end(state, delivery, 'succeeded', null, nowMs)
    else if (how.kind === 'dead') end(state, delivery, 'dead', how.reason, nowMs)
    else pend(state, delivery, nowMs + how.afterMs, nowMs)
    return { kind: 'ok', notices }
  }

  return {
    async settle(settlements) {
      const nowMs = state.now()
      return settlements.map((settlement) => settle(settlement, nowMs))
    },

    async slow(tokens) {
      for (const token of tokens) {
        const delivery = known(token)
        if (delivery?.lease?.fence !== token.fence) continue
        const { lane } = delivery
        lane.health = afterSlow(lane.health)
        state.ready.schedule(lane, state.now())
      }
    },

    async reap(limit) {
      const nowMs = state.now()
      const reaped: Reaped[] = []
      while (reaped.length < limit) {
        const lease = leases.first()
        if (lease === undefined || lease.endsMs > nowMs) break
        const { delivery, fence, endsMs } = lease
        const { event, lane } = delivery
        const durationMs = lane.row.rules.leaseMs
        const row = attemptRow({ ...CRASHED, durationMs }, fence, delivery.attempts + 1, endsMs - durationMs)
        delivery.log = note(delivery, row)
        delivery.crashes++
        const dead = delivery.crashes >= MAX_CRASHES
        if (dead) end(state, delivery, 'dead', 'poison', nowMs)
        else pend(state, delivery, delivery.dueMs, nowMs)
        const { scope, id, type } = event.stored
        reaped.push({ scope, endpoint: lane.row.id, delivery: delivery.id, event: id, type, dead })
      }
      return reaped
    },
  }
}

/** What is worth telling of a lane. Disabled already: nobody hears of it twice. */
function heard(lane: Lane, notices: readonly LaneNotice[], nowMs: number): readonly LaneNotice[] {
  const told = notices.filter(({ kind }) => kind !== 'disabled' || lane.row.state !== 'disabled')
  for (const notice of told) if (notice.kind === 'disabled') disable(lane, notice.reason, nowMs)
  return told
}

/** Keeps what a lost lease came to, in the place of what was thought of it; once. */
function logStale(delivery: KeptDelivery, fence: number, attempt: AttemptRow, nowMs: number): void {
  const { log, attempts, event } = delivery
  const at = log.findIndex((row) => row.fence === fence)
  if (at >= 0 && log[at]!.outcome !== 'crashed') return
  const response = event.stored.erased ? null : attempt.response
  const number = log[at]?.number ?? attempts + 1
  const stale = attemptRow({ ...attempt, response, outcome: 'stale' }, fence, number, nowMs - attempt.durationMs)
  delivery.log = at >= 0 ? log.with(at, stale) : note(delivery, stale)
}
