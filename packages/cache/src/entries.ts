import { randomFillSync } from 'node:crypto'
import type { Clock, Logger, StandardSchemaV1 } from '@keelson/kernel'
import type { Policy } from './entry-options.ts'
import type { Key } from './key.ts'
import type { L1Entry } from './l1/l1.ts'
import type { LoadNotes } from './load-context.ts'
import type { Lookup } from './lookup.ts'
import type { CacheMetrics } from './metrics.ts'
import type { ScopeState } from './scope-state.ts'
import { handedOut, kept, type Share } from './share.ts'
import type { Entry, Stored } from './store.ts'
import { isImplicit } from './tag.ts'
import type { Values } from './value-codec.ts'

/** A value that is ready to be stored, and what callers get of it. */
interface Packed {
  readonly entry: Entry
  readonly value: unknown
}

/** Values on their way between callers, this process's memory and the store. */
export interface Entries {
  /** @throws CacheError VALUE_UNSUPPORTED */
  pack(value: unknown, tags: readonly string[], o: { policy: Policy; notes?: LoadNotes; loadMs: number }): Packed
  /** What a store answered; undefined for what cannot be read, or does not fit the schema: a miss. */
  open(stored: Stored, policy: Policy | undefined): Promise<unknown>
  /** Keeps it in this process, unless it was invalidated since generation `at`. */
  keep(state: ScopeState, key: Key, at: number, value: unknown, from: Stored | KeptOf): void
  fromL1(entry: L1Entry, nowMs: number): Lookup<unknown>
  fromStore(stored: Stored, value: unknown, state: Lookup<unknown>['state']): Lookup<unknown>
  /** What callers share of a value that no store has: nobody can change it, if it is one that a store could have. */
  own(value: unknown): unknown
  handOut(value: unknown): unknown
}

/** What was just stored. */
interface KeptOf {
  readonly entry: Entry
  readonly stamp: string
}

/** Opened, but nothing to show. */
export const UNREADABLE: unique symbol = Symbol('unreadable')

/** Map, lists and objects of one L1 entry, roughly. */
const L1_OVERHEAD_BYTES = 250

export function createEntries(o: {
  readonly values: Values
  readonly share: Share
  /** A store in this process keeps the value itself. */
  readonly inProcess: boolean
  readonly jitter: number
  readonly random: () => number
  readonly metrics: CacheMetrics
  readonly clock: Clock
  readonly logger: Logger
}): Entries {
  const { values, share, inProcess, jitter, random, metrics, clock, logger } = o

  /** Checked, not transformed: hits are equal to what was loaded. */
  async function fits(schema: StandardSchemaV1, value: unknown): Promise<boolean> {
    try {
      const { issues } = await schema['~standard'].validate(value)
      return issues === undefined
    } catch (error) {
      // A refinement that was written for the shape of today.
      logger.debug({ err: error }, 'a schema failed at a cached value')
      return false
    }
  }

  return {
    pack(given, tags, { policy, notes, loadMs }) {
      const { codec, body } = values.encode(given)
      const value = share === 'unsafe' ? given : kept(values.decode(codec, body), share)
      const ttlMs = (notes?.ttlMs ?? (given === null ? policy.negativeTtl : policy.ttl)) * (1 - jitter * random())
      const { length: bytes } = body
      const bodyOrValue = inProcess ? { value, bytes: bytes + L1_OVERHEAD_BYTES } : { body }
      return {
        entry: {
          ...bodyOrValue,
          codec,
          tags,
          fill: newFill(),
          ttlMs: Math.max(1, ttlMs),
          graceMs: policy.grace,
          loadMs,
        },
        value,
      }
    },

    async open(stored, policy) {
      if (stored.body === undefined) return stored.value
      let value: unknown
      try {
        value = values.decode(stored.codec, stored.body)
      } catch (error) {
        logger.debug({ err: error }, 'a cached body could not be read')
        return UNREADABLE
      }
      if (policy?.schema !== undefined && !(await fits(policy.schema, value))) {
        metrics.schemaMismatch.inc(metrics.labels)
        return UNREADABLE
      }
      return kept(value, share)
    },

    keep(state, key, at, value, from) {
      if (inProcess || state.l1 === undefined) return
      const now = clock.monotonic()
      const isNew = 'entry' in from
      const { tags, fill, loadMs, body, ttlMs } = isNew ? from.entry : from
      // Without a body it came out of this memory and was only found valid.
      if (ttlMs <= 0 || body === undefined) return
      state.l1.put(key, at, {
        value,
        bytes: body.length + L1_OVERHEAD_BYTES,
        tags,
        stamp: from.stamp,
        fill,
        loadMs,
        storedMs: Math.floor(now - (isNew ? 0 : from.ageMs)),
        endsMs: Math.floor(now + ttlMs),
        goneMs: Math.floor(now + ttlMs),
      })
    },

    fromL1: (entry, nowMs) => ({
      value: entry.value,
      version: versionOf(entry),
      stamp: entry.stamp,
      tags: entry.tags().filter((tag) => !isImplicit(tag)),
      age: Math.max(0, nowMs - entry.storedMs),
      ttl: Math.max(0, entry.endsMs - nowMs),
      state: 'l1',
    }),

    fromStore: (stored, value, state) => ({
      value,
      version: versionOf(stored),
      stamp: stored.stamp,
      tags: stored.tags.filter((tag) => !isImplicit(tag)),
      age: Math.max(0, stored.ageMs),
      ttl: Math.max(0, stored.ttlMs),
      state,
    }),

    own(value) {
      if (typeof value !== 'object' || value === null || share === 'unsafe') return value
      try {
        return kept(values.copy(value), share)
      } catch {
        return value
      }
    },

    handOut: (value) => handedOut(value, share),
  }
}

/** Of exactly this fill: after a plain end of time two values may share a stamp. */
export function versionOf({ stamp, fill }: { readonly stamp: string; readonly fill: string }): string {
  return `${stamp}.${fill}`
}

/** Random bytes are cheap by the thousand. */
const pool = Buffer.alloc(6 * 1_024)
let at = pool.length

/** 48 random bits as 8 characters. */
function newFill(): string {
  if (at === pool.length) {
    randomFillSync(pool)
    at = 0
  }
  return pool.toString('base64url', at, (at += 6))
}
