import { prepared, type Ask } from '@keelson/kernel/postgres'
import type { LaneRules } from '../lane.ts'
import type { AttemptRow, Settled, Settlement } from '../store.ts'
import { plainArray, textArray } from './arrays.ts'
import { NO_FAILURES } from './lane-row.ts'
import { toText } from './text.ts'

/** A settlement of an attempt that succeeded. */
export interface Success extends Settlement {
  readonly attempt: AttemptRow
}

const isSuccess = ({ end, signal, attempt }: Settlement): boolean =>
  end.kind === 'succeeded' && signal.kind === 'success' && attempt?.outcome === 'success' && attempt.error === null

const laneOf = ({ token }: Settlement): string => `${token.scope}\0${token.endpoint}`

/**
 * The places of settlements that webhook_succeed may end: successes, each delivery once. Those of one lane fold in their
 * order, so where one of them is something else, it takes none.
 */
export function successesOf(settlements: readonly Settlement[]): Set<number> {
  const others = new Set(settlements.filter((one) => !isSuccess(one)).map(laneOf))
  const seen = new Set<string>()
  const places = new Set<number>()
  for (const [i, one] of settlements.entries()) {
    const delivery = `${one.token.scope}\0${one.token.delivery}`
    if (seen.has(delivery) || (others.size > 0 && others.has(laneOf(one)))) continue
    seen.add(delivery)
    places.add(i)
  }
  return places
}

/** Ends claims in one flight; null where it is left to others. */
export function createSucceed(schema: string, ask: Ask): (some: readonly Success[]) => Promise<(Settled | null)[]> {
  const text = `select ${schema}.webhook_succeed($1::text::text[], $2::text::text[], $3::text::bigint[],
  $4::text::boolean[], $5::text::integer[], $6::text::float8[], $7::text::integer[], $8::text::text[], $9::text::text[],
  $10::text::text[], $11) as ended`

  return async (some) => {
    const rules = new Map<LaneRules | undefined, number>()
    const ruleOf = (one: LaneRules | undefined): number => {
      const known = rules.get(one) ?? rules.size + 1
      rules.set(one, known)
      return known
    }
    const [row] = await ask<{ ended: string | null }>(
      prepared(text, [
        textArray(some.map(({ token }) => token.scope)),
        textArray(some.map(({ token }) => token.delivery)),
        plainArray(some.map(({ token }) => token.fence)),
        plainArray(some.map(({ signal }) => signal.kind === 'success' && signal.fast)),
        plainArray(some.map((one) => ruleOf(one.rules))),
        plainArray(some.map(({ attempt }) => attempt.durationMs)),
        plainArray(some.map(({ attempt }) => attempt.status)),
        textArray(some.map(({ attempt }) => attempt.remoteAddress)),
        textArray(some.map(({ attempt }) => toText(attempt.response))),
        textArray([...rules.keys()].map((one) => (one === undefined ? null : JSON.stringify(one)))),
        NO_FAILURES,
      ]),
    )
    const ended = new Set(row!.ended?.split(',').map(Number))
    const recovered = new Set<string>()
    return some.map((one, i): Settled | null => {
      if (ended.has(i + 1)) return { kind: 'ok', notices: [] }
      if (!ended.has(-i - 1)) return null
      // The first success of a lane is the one that ends its failures.
      const again = recovered.has(laneOf(one))
      recovered.add(laneOf(one))
      return { kind: 'ok', notices: again ? [] : [{ kind: 'recovered' }] }
    })
  }
}
