import type { Statement } from '@keelson/kernel'
import { prepared, unit, type Ask, type KnownDatabase } from '@keelson/kernel/postgres'
import { afterEnd, afterSignal, afterSlow } from '../lane.ts'
import type { AttemptRow, ClaimToken, Settled, Settlement, WebhookStore } from '../store.ts'
import { laneColumns, readLane, withState, type KeptLane, type LaneRow } from './lane-row.ts'
import { createSucceed, successesOf, type Success } from './successes.ts'
import { toText } from './text.ts'

/** A row of webhook_load. */
interface LoadedRow extends Omit<LaneRow, 'lane'> {
  readonly scope: string
  readonly id: string
  /** Null: nobody attempts it. As text: a session may round what it writes of a float. */
  readonly fence: string | null
  readonly attempts: number
  readonly spent: number
  readonly again: boolean
  readonly key: string | null
  /** Null: its endpoint is gone. */
  readonly lane: number | null
  readonly now_ms: number
}

type Writes = { readonly lanes: object[]; readonly deliveries: object[]; readonly attempts: object[] }

/** A server that does not answer in this time is given up; locks are held for milliseconds. */
const STALL = '5s'

/**
 * What is decided of lanes in this process: their rows are locked and read in one flight, decided on by lane.ts, and
 * written in a second one with COMMIT. Successes, which are most, take a flight before that decides in SQL.
 */
export function createSettling(target: KnownDatabase, schema: string, ask: Ask): Pick<WebhookStore, 'settle' | 'slow'> {
  const succeed = createSucceed(schema, ask)

  async function decide<T>(
    tokens: readonly ClaimToken[],
    how: (rows: readonly LoadedRow[]) => { readonly value: T; readonly writes: Writes },
  ): Promise<T> {
    const ids = JSON.stringify(tokens.map(({ scope, delivery }) => ({ s: scope, d: delivery })))
    return unit<T>(target, {
      open: [prepared(`select * from ${schema}.webhook_load($1::text::json)`, [ids])],
      isolation: 'read committed',
      stall: STALL,
      async work(_, [loaded]) {
        const { value, writes } = how(loaded!.rows as LoadedRow[])
        const { lanes, deliveries, attempts } = writes
        if (lanes.length + attempts.length === 0) return { end: 'rollback', value }
        return { end: 'commit', value, statements: [writeStatement(schema, lanes, deliveries, attempts)] }
      },
    })
  }

  return {
    async settle(settlements) {
      const results = new Map<number, Settled>()
      const successes = [...successesOf(settlements)]
      if (successes.length > 0) {
        const ended = await succeed(successes.map((i) => settlements[i] as Success))
        for (const [n, i] of successes.entries()) if (ended[n] != null) results.set(i, ended[n])
      }
      const left = settlements.flatMap((one, i) => (results.has(i) ? [] : [{ one, i }]))
      if (left.length > 0) {
        const rest = left.map(({ one }) => one)
        const tokens = rest.map(({ token }) => token)
        const decided = await decide(tokens, (rows) => decideSettle(rest, rows))
        for (const [n, { i }] of left.entries()) results.set(i, decided[n]!)
      }
      return settlements.map((_, i) => results.get(i)!)
    },

    async slow(tokens) {
      if (tokens.length === 0) return
      await decide(tokens, (rows) => {
        const lanes = new Map<number, KeptLane>()
        const byId = new Map(rows.map((row) => [keyOf(row.scope, row.id), row]))
        for (const { scope, delivery, fence } of tokens) {
          const row = byId.get(keyOf(scope, delivery))
          if (row === undefined || !isLeased(row, fence)) continue
          const lane = readLane(row)
          lanes.set(lane.lane, { ...lane, health: afterSlow(lane.health) })
        }
        return {
          value: undefined,
          writes: { lanes: [...lanes.values()].map(laneColumns), deliveries: [], attempts: [] },
        }
      })
    },
  }
}

/** Writes lanes, deliveries and attempts under the locks of the lanes. */
export function writeStatement(
  schema: string,
  lanes: readonly object[],
  deliveries: readonly object[] = [],
  attempts: readonly object[] = [],
): Statement {
  const text = `select ${schema}.webhook_write($1::text::json, $2::text::json, $3::text::json)`
  return prepared(
    text,
    [lanes, deliveries, attempts].map((rows) => JSON.stringify(rows)),
  )
}

const keyOf = (scope: string, id: string): string => `${scope}\0${id}`

function isLeased(row: LoadedRow, fence: number): row is LoadedRow & { readonly lane: number } {
  return row.lane !== null && row.fence === String(fence)
}

/** Settlements of one lane fold in their order; what an earlier one has ended is stale for a later one. */
function decideSettle(
  settlements: readonly Settlement[],
  rows: readonly LoadedRow[],
): { value: Settled[]; writes: Writes } {
  const byId = new Map(rows.map((row) => [keyOf(row.scope, row.id), row]))
  const lanes = new Map<number, KeptLane>()
  const deliveries: object[] = []
  const attempts: object[] = []
  const value = settlements.map(({ token, attempt, end, signal, rules }): Settled => {
    const id = keyOf(token.scope, token.delivery)
    const row = byId.get(id)
    if (row === undefined || !isLeased(row, token.fence)) {
      if (row !== undefined && attempt !== null)
        attempts.push(attemptColumns(token, attempt, row.attempts + 1, row.now_ms, true))
      return { kind: 'stale' }
    }
    const nowMs = row.now_ms
    const tried = attempt === null ? 0 : 1
    const next = { ...row, attempts: row.attempts + tried, spent: row.spent + tried }
    if (attempt !== null) attempts.push(attemptColumns(token, attempt, next.attempts, nowMs, false))

    const before = lanes.get(row.lane) ?? readLane(row)
    const ruled = rules === undefined ? before : { ...before, rules }
    const after = afterSignal(ruled.health, ruled.rules, signal, nowMs)
    // Disabled already: nobody hears of it twice.
    const notices = after.notices.filter((notice) => notice.kind !== 'disabled' || ruled.state !== 'disabled')
    let lane: KeptLane = { ...ruled, health: afterEnd(after.lane, row.again) }
    for (const notice of notices) {
      if (notice.kind !== 'disabled') continue
      lane = { ...withState(lane, 'disabled', nowMs), disabledReason: notice.reason, revision: lane.revision + 1 }
    }
    lanes.set(row.lane, lane)

    const final = end.kind === 'succeeded' || end.kind === 'dead'
    deliveries.push({
      s: row.scope,
      d: row.id,
      lane: row.lane,
      line: final ? row.key : null,
      failed: end.kind === 'dead' ? 'dead' : null,
      reason: end.kind === 'dead' ? end.reason : null,
      attempts: next.attempts,
      spent: next.spent,
      tried: attempt !== null,
      fence: token.fence,
      due_ms: final ? null : Math.ceil(nowMs + end.afterMs),
      finished_ms: final ? nowMs : null,
    })
    byId.set(id, { ...next, fence: null })
    return { kind: 'ok', notices }
  })
  return { value, writes: { lanes: [...lanes.values()].map(laneColumns), deliveries, attempts } }
}

function attemptColumns(token: ClaimToken, attempt: AttemptRow, number: number, nowMs: number, late: boolean): object {
  return {
    s: token.scope,
    d: token.delivery,
    fence: token.fence,
    number,
    at_ms: Math.floor(nowMs - attempt.durationMs),
    duration_ms: attempt.durationMs,
    outcome: attempt.outcome,
    status: attempt.status,
    remote: attempt.remoteAddress,
    response: toText(attempt.response),
    error: toText(attempt.error),
    late,
  }
}
