import { z } from 'zod'

/** What a merchant asks a carrier. */
export const newQuote = z.object({
  to: z.string().min(1).max(200),
  kg: z.coerce.number().positive().max(1000),
})
export type NewQuote = z.infer<typeof newQuote>

/** A carrier's price. */
export interface Quote {
  readonly cents: number
  /** The carrier's name for the request: the correlation id that came with it. */
  readonly reference: string | undefined
}

/** The carrier's tariff. */
export function tariff({ to, kg }: NewQuote): number {
  return 390 + Math.ceil(kg) * 80 + (to.length % 5) * 10
}
