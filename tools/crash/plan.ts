import { chance } from './chance.ts'
import type { CrashScenario } from './scenario.ts'

const WHENS = ['before', 'sent', 'answered'] as const

/** Around the n-th flight of a write of this kind, counted from 1. */
export interface Boundary {
  readonly kind: string
  readonly flight: number
  readonly when: (typeof WHENS)[number]
}

/** Where a worker dies: at a boundary of the first write that reaches it from `from` on; or at a random moment. */
export type Death = { readonly boundary: Boundary; readonly from: number } | { readonly afterMs: number }

/** One write that a client asks for. */
export interface Write {
  readonly key: string
  readonly kind: string
}

/** What a scenario says of itself, with its defaults. */
export interface About {
  readonly kinds: Readonly<Record<string, number>>
  readonly inFlight: number
  readonly exclusive: boolean
}

const LEAST_IN_FLIGHT = 8

/** @throws When it allows fewer writes in flight than a run needs. */
export function aboutOf({ kinds = { write: 1 }, inFlight = LEAST_IN_FLIGHT, exclusive = false }: CrashScenario): About {
  if (inFlight < LEAST_IN_FLIGHT) throw new Error(`inFlight must be at least ${LEAST_IN_FLIGHT} (got ${inFlight})`)
  return { kinds, inFlight, exclusive }
}

/** Before, behind the sending and behind the answer of each flight of each kind. */
export function boundariesOf(flights: Readonly<Record<string, number>>): Boundary[] {
  return Object.entries(flights).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => WHENS.map((when) => ({ kind, flight: i + 1, when }))).flat(),
  )
}

/** At random moments of full work, within so many ms of its first answer. */
const RANDOM_MS = 30

/** Every boundary once, as far as a fifth of the deaths stays random; all in an order that the seed decides. */
export function planDeaths(o: { seed: number; kills: number; inFlight: number; boundaries: Boundary[] }): Death[] {
  const { seed, kills, inFlight } = o
  const shuffled = shuffle(o.boundaries, (boundary) => chance(seed, 'boundary', JSON.stringify(boundary)))
  const chosen = shuffled.slice(0, kills - Math.ceil(kills / 5))
  const deaths = Array.from({ length: kills }, (_, i): Death => {
    const boundary = chosen[i]
    if (boundary === undefined) return { afterMs: chance(seed, 'moment', i) * RANDOM_MS }
    // From the last of the first writes on: all others are in flight.
    return { boundary, from: inFlight - 1 + Math.floor(chance(seed, 'from', i) * 3 * inFlight) }
  })
  return shuffle(deaths, (_, i) => chance(seed, 'order', i))
}

function shuffle<T>(list: readonly T[], place: (each: T, index: number) => number): T[] {
  return list
    .map((each, index) => ({ each, place: place(each, index) }))
    .sort((a, b) => a.place - b.place)
    .map(({ each }) => each)
}

/** The n-th write of a worker, from 0. Worker and parent know it without telling each other. */
export function writeAt(o: { seed: number; round: number; kinds: About['kinds']; death: Death }, index: number): Write {
  const key = `${o.round}-${index}`
  if ('boundary' in o.death && index === o.death.from) return { key, kind: o.death.boundary.kind }
  const kinds = Object.entries(o.kinds)
  let left = chance(o.seed, 'kind', key) * kinds.reduce((sum, [, weight]) => sum + weight, 0)
  const [kind] = kinds.find(([, weight]) => (left -= weight) < 0) ?? kinds[0]!
  return { key, kind }
}
