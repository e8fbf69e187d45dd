import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tools } from '@keelson/kernel/conformance'
import type { Fingerprint } from '../fingerprint.ts'
import type { RefDigest } from '../ref.ts'
import type { Begin, Claim, IdempotencyStore, Own, Settlement } from '../store.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** What must be alive lives an hour: no machine stands still that long. */
export const LONG_MS = 3_600_000
/** What must end ends soon, and is waited for; nothing depends on it being alive. */
export const SHORT_MS = 20
/** Time of the store in which what was promised has happened, on any machine. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 10

/** A claim that was won. */
export interface Winner extends Own {
  readonly attempt: number
  readonly checkpoint?: Uint8Array
}

/** What a case of a store works with. */
export interface Stage<S extends IdempotencyStore = IdempotencyStore> extends Tools {
  readonly store: S
  elapse(ms: number): Promise<void>
  /** A ref that nobody has used, on this server neither. */
  someRef(): RefDigest
  /** A claim of a new caller. */
  claim(more?: Partial<Claim>): Claim
  /** Begins, and fails unless the claim is won. */
  won(ref: RefDigest, more?: Partial<Claim>): Promise<Winner>
  /** Won, and ended so; who won it. */
  ended(ref: RefDigest, as: Settlement, more?: Partial<Claim>): Promise<Winner>
  /** Won with a lease that is over, by the store's own word. */
  lapsed(ref: RefDigest, more?: Partial<Claim>): Promise<Winner>
  /** Waits until the lease of `ref` is over, by the store's own word. */
  leaseIsOver(ref: RefDigest): Promise<void>
  /** Waits until `ref` has no record, by the store's own word. */
  recordIsGone(ref: RefDigest): Promise<void>
  /** What `begin` answers a new caller: its kind. */
  kindOf(ref: RefDigest, more?: Partial<Claim>): Promise<Begin['kind']>
  /** The stored answer of a done record. */
  answerOf(ref: RefDigest): Promise<Uint8Array>
  /** Waits for a promise while the store's time passes; fails when it does not come. */
  comes<R>(promise: Promise<R>, what: string): Promise<R>
  sameBytes(actual: Uint8Array | undefined, expected: Uint8Array, why?: string): void
}

/** Sets the stage for one case. */
export function stageOf<S extends IdempotencyStore>(
  { store, elapse = sleepFor }: StoreUnderTest & { readonly store: S },
  tools: Tools,
): Stage<S> {
  async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
      if (await isSo()) return
      tools.ok(waitedMs < PATIENCE_MS, `after ${PATIENCE_MS} ms of the store's time: ${what}`)
      await elapse(LOOK_EVERY_MS)
    }
  }

  const stage: Stage<S> = {
    ...tools,
    store,
    elapse,
    someRef: () => new Uint8Array(randomBytes(16)),
    claim,
    async won(ref, more) {
      const mine = claim(more)
      const begin = await store.begin(ref, mine)
      tools.equal(begin.kind, 'yours')
      const { fence, attempt, checkpoint } = begin as Extract<Begin, { kind: 'yours' }>
      return { nonce: mine.nonce, fence, attempt, ...(checkpoint === undefined ? {} : { checkpoint }) }
    },
    async ended(ref, as, more) {
      const own = await stage.won(ref, more)
      tools.equal(await store.settle(ref, own, as, LONG_MS), 'ok')
      return own
    },
    async lapsed(ref, more) {
      const own = await stage.won(ref, { leaseMs: SHORT_MS, ...more })
      await stage.leaseIsOver(ref)
      return own
    },
    leaseIsOver: (ref) =>
      until('peek still shows a lease', async () => ((await store.peek(ref))?.leaseLeftMs ?? 0) === 0),
    recordIsGone: (ref) => until('peek still shows the record', async () => (await store.peek(ref)) === null),
    kindOf: async (ref, more) => (await store.begin(ref, claim(more))).kind,
    async answerOf(ref) {
      const begin = await store.begin(ref, claim())
      tools.equal(begin.kind, 'done')
      return (begin as Extract<Begin, { kind: 'done' }>).bytes
    },
    async comes(promise, what) {
      let settled = false
      const noted = promise.finally(() => (settled = true))
      noted.catch(() => {})
      await until(what, () => settled)
      return noted
    },
    sameBytes(actual, expected, why) {
      const given = actual instanceof Uint8Array ? actual : undefined
      tools.ok(given, `${why ?? 'bytes'}: a Uint8Array, not ${String(actual)}`)
      tools.equal(given?.length, expected.length, why)
      tools.ok(given !== undefined && Buffer.compare(given, expected) === 0, `${why ?? 'bytes'}: they differ`)
    },
  }
  return stage
}

async function sleepFor(ms: number): Promise<void> {
  await sleep(ms)
}

function claim(more: Partial<Claim> = {}): Claim {
  return {
    nonce: new Uint8Array(randomBytes(16)),
    leaseMs: LONG_MS,
    retainMs: LONG_MS,
    onLapsed: 'take',
    scope: 'm1',
    op: 'POST /orders',
    ...more,
  }
}

/** A fingerprint of 32 equal bytes. */
export function print(byte: number, alg: Fingerprint['alg'] = 'json'): Fingerprint {
  return { alg, digest: new Uint8Array(32).fill(byte) }
}

/** Bytes by their values. */
export function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values)
}

/** An answer of these bytes. */
export function done(...values: number[]): Settlement {
  return { kind: 'done', bytes: bytes(...values) }
}

/** A nonce as the operation id that it is. */
export function uuidOf(nonce: Uint8Array): string {
  return Buffer.from(nonce)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
