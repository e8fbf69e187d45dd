import { problem } from '@keelson/http'
import type { Pipeline } from '@keelson/resilience'
import { resilientFetch } from '@keelson/resilience/fetch'
import { tariff, type NewQuote, type Quote } from './domain/quotes.ts'
import type { Environment } from './environment.ts'

/** Prices of the carrier, or the last ones that are known. */
export interface Quotes {
  readonly pipeline: Pipeline
  /** `isLastKnown` marks what the carrier did not say now. */
  ask(quote: NewQuote): Promise<{ readonly quote: Quote; readonly isLastKnown: boolean }>
}

type Carrier = Pick<Environment, 'SERVICE_TIMEOUT' | 'ERROR_THRESHOLD' | 'CIRCUIT_RESET_TIMEOUT'> &
  Partial<Pick<Environment, 'CARRIER_URL'>>

/** So many addresses are remembered. */
const MAX_KNOWN = 1_000

/** Without a carrier's url the tariff is asked in this process. */
export function openQuotes(o: Carrier): Quotes {
  const url = o.CARRIER_URL ?? 'http://carrier.invalid'
  const ask = resilientFetch({
    name: 'carrier',
    deadline: 2 * o.SERVICE_TIMEOUT,
    attempt: o.SERVICE_TIMEOUT,
    retry: { attempts: 2 },
    breaker: { minCalls: 5, failRate: o.ERROR_THRESHOLD / 100, open: o.CIRCUIT_RESET_TIMEOUT, probes: 1 },
    // The carrier sees our correlation id, and how long we still wait.
    propagate: true,
    ...(o.CARRIER_URL === undefined ? { fetch: embeddedCarrier } : {}),
  })
  const known = new Map<string, Quote>()

  function remember(key: string, quote: Quote): void {
    known.delete(key)
    known.set(key, quote)
    if (known.size > MAX_KNOWN) known.delete(known.keys().next().value!)
  }

  return {
    pipeline: ask.pipeline,
    async ask({ to, kg }) {
      const query = new URLSearchParams({ to, kg: String(kg) })
      const key = String(query)
      const response = await ask(`${url}/quotes?${key}`).catch(() => undefined)
      if (response?.ok === true) {
        const quote = (await response.json()) as Quote
        remember(key, quote)
        return { quote, isLastKnown: false }
      }
      await response?.body?.cancel()
      const quote = known.get(key)
      if (quote === undefined) throw problem(503, 'carrier-away', { detail: 'the carrier does not answer' })
      return { quote, isLastKnown: true }
    },
  }
}

/** The same tariff, in this process. */
const embeddedCarrier: typeof fetch = async (input) => {
  const { searchParams } = new URL(input instanceof Request ? input.url : input)
  const asked = { to: searchParams.get('to') ?? '', kg: Number(searchParams.get('kg')) }
  return Response.json({ cents: tariff(asked) })
}
