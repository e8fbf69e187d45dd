import type { Begin, Claim, Clearing, Own, RecordView, Settlement } from '@keelson/idempotency'
import { operationIdOf } from '../../src/nonce.ts'

/** A record as the model keeps it; instants in virtual ms. */
interface Kept {
  state: RecordView['state']
  claim: Claim
  fence: bigint
  attempt: number
  leaseEndsMs: number
  expiresMs: number
  beganMs: number
  bytes: Uint8Array
  checkpoint: Uint8Array | undefined
}

/** What every store must do, in as few words as possible; one ref. Fences are numbers of the model's own. */
export interface StoreModel {
  begin(claim: Claim): Begin
  settle(own: Own, as: Settlement, retainMs: number): 'ok' | 'lost'
  touch(own: Own, leaseMs: number, checkpoint?: Uint8Array): 'ok' | 'lost'
  peek(): RecordView | null
  clear(how: Clearing): boolean
}

export function createStoreModel(now: () => number): StoreModel {
  let kept: Kept | undefined
  let fences = 0n

  const live = (): Kept | undefined => (kept !== undefined && kept.expiresMs > now() ? kept : undefined)
  const owned = ({ nonce, fence }: Own): Kept | undefined => {
    const record = live()
    return record !== undefined && same(record.claim.nonce, nonce) && record.fence === fence ? record : undefined
  }
  const renew = (record: Kept, leaseMs: number): void => {
    record.leaseEndsMs = now() + leaseMs
    record.expiresMs = Math.max(record.expiresMs, record.leaseEndsMs)
  }
  const yours = ({ fence, attempt, checkpoint }: Kept): Begin => ({
    kind: 'yours',
    fence,
    attempt,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  })
  const take = (claim: Claim, before: Kept | undefined): Begin => {
    const { leaseMs, retainMs } = claim
    kept = {
      state: 'inflight',
      claim,
      fence: ++fences,
      attempt: (before?.attempt ?? 0) + 1,
      leaseEndsMs: now() + leaseMs,
      expiresMs: now() + Math.max(retainMs, leaseMs),
      beganMs: now(),
      bytes: new Uint8Array(0),
      checkpoint: before?.checkpoint,
    }
    return yours(kept)
  }

  return {
    begin(claim) {
      const record = live()
      if (record === undefined) return take(claim, undefined)
      const [a, b] = [record.claim.fingerprint, claim.fingerprint]
      if (a !== undefined && a.alg === b?.alg && !same(a.digest, b.digest)) return { kind: 'mismatch' }
      const skipped = a !== undefined && b !== undefined && a.alg !== b.alg ? { fingerprintSkipped: true as const } : {}
      const { state, attempt, bytes } = record
      const operationId = operationIdOf(record.claim.nonce)
      if (state === 'done') return { kind: state, bytes, operationId, attempt, ...skipped }
      if (state === 'tombstone') return { kind: state, operationId, attempt, ...skipped }
      if (state === 'unknown') return { kind: state, ...skipped }
      if (same(record.claim.nonce, claim.nonce)) {
        renew(record, claim.leaseMs)
        return yours(record)
      }
      const leaseLeftMs = record.leaseEndsMs - now()
      if (leaseLeftMs > 0) return { kind: 'busy', leaseLeftMs, ...skipped }
      return claim.onLapsed === 'take' ? take(claim, record) : { kind: 'lapsed', attempt, ...skipped }
    },

    settle(own, as, retainMs) {
      const record = owned(own)
      if (record === undefined) return 'lost'
      if (record.state !== 'inflight') return record.state === as.kind ? 'ok' : 'lost'
      if (as.kind === 'release') kept = undefined
      else if (as.kind === 'lapse') record.leaseEndsMs = now()
      else {
        record.state = as.kind
        record.checkpoint = undefined
        record.expiresMs = now() + retainMs
        if (as.kind === 'done') record.bytes = as.bytes
      }
      return 'ok'
    },

    touch(own, leaseMs, checkpoint) {
      const record = owned(own)
      if (record?.state !== 'inflight') return 'lost'
      renew(record, leaseMs)
      record.checkpoint = checkpoint ?? record.checkpoint
      return 'ok'
    },

    peek() {
      const record = live()
      if (record === undefined) return null
      const { state, attempt, beganMs, leaseEndsMs, expiresMs, bytes, claim } = record
      return {
        state,
        attempt,
        ageMs: now() - beganMs,
        ...(state === 'inflight' ? { leaseLeftMs: Math.max(0, leaseEndsMs - now()) } : {}),
        expiresInMs: expiresMs - now(),
        bytes: bytes.length,
        operationId: operationIdOf(claim.nonce),
      }
    },

    clear(how) {
      const record = live()
      if (record === undefined) return false
      const lapsed = record.state === 'inflight' && record.leaseEndsMs <= now()
      const open = record.state === 'unknown' || lapsed
      if (!open && (how !== 'forget' || record.state === 'inflight')) return false
      if (typeof how === 'string') kept = undefined
      else Object.assign(record, { state: 'done', bytes: how.bytes, checkpoint: undefined, fence: ++fences })
      return true
    },
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
