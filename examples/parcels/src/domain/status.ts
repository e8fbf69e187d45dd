/** Where a shipment is on its way. */
export const STATUSES = ['booked', 'held', 'in-transit', 'delivered', 'returned'] as const
export type Status = (typeof STATUSES)[number]

/** Who says so. A courier is not asked: what it has left at a door is delivered. */
export type Mover = 'merchant' | 'carrier'

const MOVES: Record<Mover, Partial<Record<Status, readonly Status[]>>> = {
  merchant: { booked: ['held'], held: ['booked'] },
  carrier: { booked: ['in-transit'], 'in-transit': ['returned'] },
}

/** What becomes of somebody's word. Who says again what is true already is not refused. */
export function decideMove(by: Mover, from: Status, to: Status): 'moves' | 'is there' | 'refused' {
  if (from === to) return 'is there'
  return MOVES[by][from]?.includes(to) === true ? 'moves' : 'refused'
}
