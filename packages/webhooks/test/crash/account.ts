import type { Attempt, Delivery } from '@keelson/webhooks'
import type { Receipt, Tally } from './tally.ts'
import type { Sending } from './traffic.ts'

/** What the store and the receiver tell of all events, side by side. */
export interface Account {
  /** What is wrong: one line each. */
  readonly broken: readonly string[]
  /** Requests beyond the first of their event. */
  readonly duplicates: number
  readonly crashed: number
  /** From the claim that crashed to the next one, by the store's clock; ms, ascending. */
  readonly recoveriesMs: readonly number[]
}

const LOST = ['crashed', 'stale']

/**
 * Every acknowledged event has arrived, whole and the same each time; a delivery has succeeded once; an event that came
 * twice has an attempt that was lost for each time but one, and lost attempts are not counted; within a key nothing
 * comes behind a later one.
 */
export async function accountOf(sending: Sending, tally: Tally): Promise<Account> {
  const broken: string[] = []
  for (const id of sending.acknowledged) if (!tally.ids.has(id)) broken.push(`${id} was acknowledged, and never came`)
  for (const id of tally.unsigned) broken.push(`${id} came with a wrong signature`)
  const byEvent = Map.groupBy(tally.receipts, ({ id }) => id)
  for (const [id, receipts] of byEvent) {
    if (new Set(receipts.map(({ body, path }) => path + body)).size > 1) broken.push(`${id} came with other bytes`)
  }
  broken.push(...outOfOrder(tally.receipts))

  const deliveries = await sending.deliveries()
  const delivered = new Map(deliveries.map((delivery) => [delivery.event, delivery]))
  if (delivered.size < deliveries.length) broken.push(`${deliveries.length - delivered.size} deliveries too many`)
  for (const id of byEvent.keys()) if (!delivered.has(id)) broken.push(`${id} came without a delivery`)
  let crashed = 0
  const recoveriesMs: number[] = []
  const weigh = async (delivery: Delivery): Promise<void> => {
    const attempts = await sending.attempts(delivery)
    const came = byEvent.get(delivery.event)?.length ?? 0
    const wrong = wrongWith(delivery, attempts, came)
    if (wrong !== undefined) broken.push(`${delivery.event}: ${wrong}`)
    for (const [i, { outcome, at }] of attempts.entries()) {
      if (outcome !== 'crashed') continue
      crashed++
      const next = attempts[i + 1]
      if (next !== undefined) recoveriesMs.push(next.at.getTime() - at.getTime())
    }
  }
  for (let i = 0; i < deliveries.length; i += 50) await Promise.all(deliveries.slice(i, i + 50).map(weigh))
  return {
    broken,
    duplicates: tally.receipts.length - byEvent.size,
    crashed,
    recoveriesMs: recoveriesMs.toSorted((a, b) => a - b),
  }
}

function wrongWith(delivery: Delivery, attempts: readonly Attempt[], came: number): string | undefined {
  const outcomes = attempts.map(({ outcome }) => outcome)
  const counted = outcomes.filter((outcome) => !LOST.includes(outcome))
  const all = `${came} requests, ${delivery.attempts} attempts: ${outcomes.join(' ')}`
  if (delivery.status !== 'succeeded') return `${delivery.status} ${String(delivery.reason)}; ${all}`
  if (delivery.attempts !== counted.length) return `attempts were lost or added; ${all}`
  if (counted.filter((outcome) => outcome === 'success').length !== 1) return `not one success; ${all}`
  if (came > attempts.length) return `more requests than attempts; ${all}`
  return undefined
}

/** Within a key an event may come again, but none comes behind a later one. */
function outOfOrder(receipts: readonly Receipt[]): string[] {
  const latest = new Map<number, number>()
  const broken: string[] = []
  for (const { id, data } of receipts) {
    const { line, n, keyed } = data as { line: number; n: number; keyed: boolean }
    if (!keyed) continue
    if (n < (latest.get(line) ?? 0)) broken.push(`${id} came behind a later one of its key`)
    else latest.set(line, n)
  }
  return broken
}

/** The value that so much of an ascending list is not above. */
export function quantile(ascending: readonly number[], q: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * q))] ?? 0
}
