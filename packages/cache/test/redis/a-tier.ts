import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import type { Bump, BumpMessage, CacheTier, Entry, Hit, Lease, Member, Miss, ReadOptions, Ref } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'
import type { IoredisLike, NodeRedisLike, RedisPort } from '@keelson/kernel/redis'
import { encodeKey, type Key } from '../../src/key.ts'
import { redisKeys, type RedisKeys } from '../../src/redis/keys.ts'
import { implicitTags } from '../../src/tag.ts'
import { somePrefix } from './some-prefix.ts'

export const HOUR_MS = 3_600_000
/** No machine stands still so long: who has it hears of everything. */
export const LONG_LEASE_MS = 10_000
const NAME = 'app'
const SCOPE = 'acme'

/** A tier, and the words that tests say to it. */
export interface ATier {
  readonly tier: CacheTier
  readonly keys: RedisKeys
  read(ref: Ref, o?: Partial<ReadOptions>): Promise<Hit | Miss>
  /** Misses and fills. */
  filled(ref: Ref, more?: Partial<Entry>): Promise<Entry>
  /** Misses without a lock. */
  lease(ref: Ref): Promise<Lease>
  bump(...tags: string[]): Promise<Bump>
}

/** On the shared server unless told. */
export function aTier(
  client: IoredisLike | NodeRedisLike | RedisPort,
  o: {
    prefix?: string
    subscriber?: IoredisLike | RedisPort
    maxTtlMs?: number
    maxLoadMs?: number
    leaseMs?: number
    replicas?: number
  } = {},
): ATier {
  const { prefix = somePrefix(), subscriber, replicas = 0, ...times } = o
  const store = redisStore(client, { prefix, replicas, ...(subscriber === undefined ? {} : { subscriber }) })
  const tier = store.open(NAME, { maxTtlMs: HOUR_MS, maxLoadMs: HOUR_MS, leaseMs: LONG_LEASE_MS, ...times })
  const read: ATier['read'] = async (ref, more) =>
    (await tier.read([ref], { lockMs: 0, node: 'n0', body: true, ...more }))[0]!
  const lease: ATier['lease'] = async (ref) => ((await read(ref, { refresh: true })) as Miss).lease
  return {
    tier,
    keys: redisKeys(prefix, NAME),
    read,
    lease,
    async filled(ref, more) {
      const made = anEntry(ref, more)
      const { stored } = await tier.fill(ref, await lease(ref), made, 'n0')
      if (!stored) throw new Error('this fill should have been stored')
      return made
    },
    bump: (...tags) => tier.bump([{ scope: SCOPE, tags }], 'n0'),
  }
}

export function aRef(key: Key, tags: readonly string[] = [], scope: string = SCOPE): Ref {
  const encoded = encodeKey(key)
  return { scope, key: encoded, declared: [...implicitTags(key, encoded, 1), ...tags] }
}

export function anEntry(ref: Ref, { tags = [], ...more }: Partial<Entry> = {}): Entry {
  const fill = randomBytes(9).toString('base64url')
  return {
    body: Buffer.from(`body ${fill}`),
    codec: 'json',
    fill,
    ttlMs: HOUR_MS,
    graceMs: 0,
    loadMs: 7,
    ...more,
    tags: [...ref.declared, ...tags],
  }
}

/** A member, and all that it was told. */
export interface AMember {
  readonly member: Member
  readonly bumps: BumpMessage[]
  readonly acks: string[]
  lost: number
}

export async function aMember({ tier }: ATier, node: string, leaseMs = LONG_LEASE_MS): Promise<AMember> {
  const [bumps, acks]: [BumpMessage[], string[]] = [[], []]
  const on = {
    bump: (message: BumpMessage) => void bumps.push(message),
    ack: (stamp: string, by: string) => void acks.push(`${by} ${stamp}`),
    filled() {},
    lost: () => void made.lost++,
  }
  const made: AMember = { member: await tier.join!(node, { leaseMs, on }), bumps, acks, lost: 0 }
  return made
}

export const bodyOf = (answer: Hit | Miss): string | undefined =>
  answer.kind === 'hit' ? Buffer.from(answer.body!).toString() : undefined

/** A connection to the shared server. */
export function connect(): Redis & Disposable {
  const client = new Redis(inject('redisUrl'))
  return Object.assign(client, { [Symbol.dispose]: () => client.disconnect() })
}
