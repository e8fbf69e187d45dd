import { append, createLinkedList, remove, type Link, type LinkedList } from '../linked-list.ts'
import type { KeptDelivery } from './rows.ts'

/** A delivery that is under way until then. */
export interface Lease {
  readonly delivery: KeptDelivery
  readonly fence: number
  readonly endsMs: number
  link: Link<Lease> | null
}

/** The leases that have not ended by a word. */
export interface Leases {
  begin(delivery: KeptDelivery, fence: number, nowMs: number): void
  /** By a word or by itself. */
  end(delivery: KeptDelivery): void
  /** The first one to end by itself. */
  first(): Lease | undefined
}

export function createLeases(): Leases {
  /** By their length, few as rules are: those of one length end in the order in which they began. */
  const lists = new Map<number, LinkedList<Lease>>()
  return {
    begin(delivery, fence, nowMs) {
      const { leaseMs } = delivery.lane.row.rules
      let list = lists.get(leaseMs)
      if (list === undefined) {
        for (const [length, { first }] of lists) if (first === undefined) lists.delete(length)
        list = createLinkedList()
        lists.set(leaseMs, list)
      }
      const lease: Lease = { delivery, fence, endsMs: nowMs + leaseMs, link: null }
      lease.link = append(list, lease)
      delivery.lease = lease
    },
    end(delivery) {
      if (delivery.lease === null) return
      remove(delivery.lease.link!)
      delivery.lease = null
    },
    first() {
      let soonest: Lease | undefined
      for (const { first } of lists.values()) {
        if (first !== undefined && first.value.endsMs < (soonest?.endsMs ?? Infinity)) soonest = first.value
      }
      return soonest
    },
  }
}
