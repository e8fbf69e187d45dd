import type { Begin, Claim, Clearing, Own, Settlement } from '@keelson/idempotency'

/** Sees only what a store answers of one ref, and says what must never be seen. */
export interface Witness {
  begun(claim: Claim, answer: Begin): void
  settled(own: Own, as: Settlement, retainMs: number, answer: 'ok' | 'lost'): void
  touched(own: Own, leaseMs: number, answer: 'ok' | 'lost'): void
  cleared(how: Clearing, answer: boolean): void
}

/** @throws Error that names the broken invariant. */
export function createWitness(now: () => number): Witness {
  let owner: (Own & { leaseEndsMs: number }) | undefined
  /** The last claim that was won: whoever is not it owns nothing. */
  let last: Own | undefined
  let done: Uint8Array | undefined
  let expiresMs = 0

  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(`invariant: ${what}`)
  }
  const is = (a: Own | undefined, b: Own): boolean => a?.fence === b.fence && Buffer.compare(a.nonce, b.nonce) === 0
  const renewed = (leaseMs: number): void => {
    owner!.leaseEndsMs = now() + leaseMs
    expiresMs = Math.max(expiresMs, owner!.leaseEndsMs)
  }

  return {
    begun(claim, answer) {
      if (answer.kind === 'yours') {
        const own = { nonce: claim.nonce, fence: answer.fence }
        must(done === undefined || expiresMs <= now(), 'done never changes before it expires')
        if (is(owner, own)) return renewed(claim.leaseMs)
        must(owner === undefined || owner.leaseEndsMs <= now(), 'at most one live owner')
        must(last === undefined || answer.fence > last.fence, 'fences strictly increase')
        last = own
        owner = { ...own, leaseEndsMs: now() + claim.leaseMs }
        done = undefined
        expiresMs = now() + Math.max(claim.retainMs, claim.leaseMs)
      } else if (answer.kind === 'done') {
        must(done !== undefined && Buffer.compare(done, answer.bytes) === 0, 'a replay equals the original')
      }
    },
    settled(own, as, retainMs, answer) {
      if (answer === 'lost') return
      must(is(last, own), 'a stale own changes nothing')
      if (owner === undefined) return
      if (as.kind === 'lapse') owner.leaseEndsMs = now()
      else owner = undefined
      if (as.kind === 'done') done = as.bytes
      if (as.kind !== 'lapse') expiresMs = now() + retainMs
    },
    touched(own, leaseMs, answer) {
      if (answer === 'lost') return
      must(is(owner, own), 'a stale own changes nothing')
      renewed(leaseMs)
    },
    cleared(how, answer) {
      if (!answer) return
      must(owner === undefined || owner.leaseEndsMs <= now(), 'a live owner is left alone')
      must(done === undefined || how === 'forget', 'done never changes before it expires')
      owner = undefined
      done = typeof how === 'string' ? undefined : how.bytes
      // Its old owner is out.
      if (typeof how !== 'string') last = { nonce: new Uint8Array(0), fence: last!.fence }
    },
  }
}
