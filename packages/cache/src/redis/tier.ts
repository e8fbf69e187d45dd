import type { Arg, RedisPort, RedisReply, Script } from '@keelson/kernel/redis'
import { CacheError } from '../error.ts'
import type { Bump, Bumped, CacheTier, Hit, Lease, Miss, ReadOptions, Ref } from '../store.ts'
import { keyTag } from '../tag.ts'
import { bumpScript, putScript } from './bump.lua.ts'
import { bodyOf, packHead, times, unpackEntry } from './entry.ts'
import { fillScript } from './fill.lua.ts'
import { redisKeys, scopePart } from './keys.ts'
import { extendScript, unlockScript } from './lock.lua.ts'
import { joinMember } from './member.ts'
import { renewScript } from './members.lua.ts'
import { bumpText, filledText } from './message.ts'
import { newId } from './new-id.ts'
import { purgeScript } from './purge.lua.ts'
import { LOCKS, readScript, SOFTLY } from './read.lua.ts'
import { createServerTime } from './server-time.ts'

/** What a tier is opened with. Times in ms. */
export interface RedisTierOptions {
  readonly port: RedisPort
  readonly subscriber: RedisPort
  readonly prefix: string
  readonly name: string
  readonly replicas: number
  readonly maxTtlMs: number
  readonly maxLoadMs: number
  readonly leaseMs?: number
}

const US_PER_MS = 1_000
/** The most that a lease may take: what a member takes that this node knows nothing of. */
const LONGEST_LEASE_MS = 10_000
/** How long replicas may take. */
const REPLICA_TIMEOUT_MS = 100
const SCAN_COUNT = 500

export function redisTier(o: RedisTierOptions): CacheTier {
  const { port, replicas } = o
  const keys = redisKeys(o.prefix, o.name)
  const time = createServerTime()
  const members = new Map<string, { close(): Promise<void> }>()
  let closed = false
  let leaseMs = Math.ceil(o.leaseMs ?? LONGEST_LEASE_MS)

  /** What must not be lost by a failover: WAIT counts the replicas that have the writes of its connection. */
  async function replicated(script: Script, names: readonly string[], args: readonly Arg[]): Promise<RedisReply> {
    if (replicas === 0) return port.script(script, names, args)
    const wait = ['WAIT', replicas, REPLICA_TIMEOUT_MS]
    const [reply, count] = await port.pipeline(keys.state, [{ script, keys: names, args }, wait])
    if (Number(count) < replicas) throw tooFewReplicas(replicas)
    return reply!
  }

  function bumpArgs(list: readonly Bumped[], node: string): Arg[] {
    const tags = list.flatMap(({ scope = '', tags, soft }) =>
      tags.map((tag) => `${soft ? 's' : 'h'}${scopePart(scope)}${tag}`),
    )
    const longestUs = (o.maxTtlMs + o.maxLoadMs) * US_PER_MS
    const isEpoch = list.some(({ epoch }) => epoch)
    const message = bumpText(node, list)
    return [
      newId(),
      node,
      leaseMs,
      time.latest(),
      keys.channel,
      message,
      longestUs,
      isEpoch ? 1 : 0,
      tags.length,
      ...tags,
    ]
  }

  async function bump(script: Script, more: readonly string[], args: readonly Arg[]): Promise<Bump> {
    const sentMs = time.now()
    const reply = await replicated(script, [keys.state, keys.members, ...more], args)
    const [stamp, us, unknownMs, ...leases] = reply as [Buffer, Buffer, number, ...(Buffer | number)[]]
    time.note(Number(us), sentMs)
    // By the end of their leases: of two memberships of one node the later one counts.
    const leftMs = new Map<string, number>()
    for (let i = 0; i < leases.length; i += 2) leftMs.set(String(leases[i]), Number(leases[i + 1]))
    return { stamp: String(stamp), peers: [...leftMs].map(([node, leaseLeftMs]) => ({ node, leaseLeftMs })), unknownMs }
  }

  return {
    coherence: 'leased',

    async read(refs, options) {
      if (refs.length === 0) return []
      const sentMs = time.now()
      const [lease, ...answers] = (await port.script(readScript, ...readCall(refs, options))) as [
        Buffer,
        ...RedisReply[],
      ]
      const us = usOf(String(lease))
      time.note(us, sentMs)
      return refs.map((_, i) => answerOf(answers.slice(2 * i, 2 * i + 2), String(lease), us, options))
    },

    async fill(ref, lease, entry, node) {
      const stored = await port.script(
        fillScript,
        [keys.state, keys.entry(ref), keys.lock(ref)],
        [
          ...lease.split(':'),
          ownerOf(lease, node),
          scopePart(ref.scope),
          o.maxLoadMs,
          ...times(entry),
          packHead(entry),
          bodyOf(entry),
          keys.channel,
          filledText(ref.scope, ref.key),
        ],
      )
      return { stored: stored === 1, stamp: stampOf(lease) }
    },

    put: async (ref, entry, node) =>
      bump(
        putScript,
        [keys.entry(ref), keys.lock(ref)],
        [
          ...bumpArgs([{ scope: ref.scope, tags: [keyTag(ref.key)] }], node),
          ...times(entry),
          packHead(entry),
          bodyOf(entry),
          filledText(ref.scope, ref.key),
        ],
      ),

    bump: async (list, node) => bump(bumpScript, [], bumpArgs(list, node)),

    async unlock(ref, lease, node) {
      const message = filledText(ref.scope, ref.key)
      await port.script(unlockScript, [keys.lock(ref)], [ownerOf(lease, node), keys.channel, message])
    },

    async extend(held, node, lockMs) {
      if (held.length === 0) return
      const owners = held.map(({ lease }) => ownerOf(lease, node))
      const locks = held.map(({ ref }) => keys.lock(ref))
      await port.script(extendScript, locks, [Math.ceil(lockMs), ...owners])
    },

    async join(node, { leaseMs: ms, on }) {
      leaseMs = Math.ceil(ms)
      const self = `${newId()}${node}`
      const renew = async (id: string, register: boolean): Promise<void> => {
        const sentMs = time.now()
        const args = [newId(), leaseMs, register ? 1 : 0, self, keys.channelOf(node), id, time.latest()]
        time.note(Number(await replicated(renewScript, [keys.state, keys.members], args)), sentMs)
      }
      const left = (): void => void members.delete(self)
      const member = await joinMember({ port, subscriber: o.subscriber, keys, node, self, on, renew, left })
      members.set(self, member)
      if (closed) await member.close()
      return member
    },

    async purge(scope) {
      let deleted = 0
      let cursor = '0'
      do {
        const words = ['SCAN', cursor, 'MATCH', keys.entries(scope), 'COUNT', SCAN_COUNT]
        const [next, found] = (await port.command(keys.state, words)) as [Buffer, Buffer[]]
        cursor = String(next)
        const entries = found.map(String)
        const args = [scope === undefined ? 0 : 1, ...entries.map((entry) => keys.scopeOf(entry))]
        if (entries.length > 0) deleted += Number(await port.script(purgeScript, [keys.state, ...entries], args))
      } while (cursor !== '0')
      return deleted
    },

    // Of the server that has the state: on a Cluster another one may answer when this one is away.
    ping: async () => port.command(keys.state, ['EXISTS', keys.state]),

    async epoch() {
      const id = await port.command(keys.state, ['HGET', keys.state, 'id'])
      return id === null ? undefined : String(id)
    },

    async close() {
      closed = true
      await Promise.all([...members.values()].map((member) => member.close()))
    },
  }

  function readCall(refs: readonly Ref[], { lockMs, node, body, refresh }: ReadOptions): [string[], Arg[]] {
    const locks = lockMs > 0
    const names = [keys.state]
    const args: Arg[] = [newId(), node, Math.ceil(lockMs), body ? 1 : 0, refresh ? 1 : 0]
    for (const ref of refs) {
      names.push(keys.entry(ref))
      args.push(scopePart(ref.scope))
      if (!locks) continue
      names.push(keys.lock(ref))
      args.push(ref.declared.length, ...ref.declared)
    }
    return [names, args]
  }
}

function answerOf([code, raw]: RedisReply[], lease: Lease, us: number, { body }: ReadOptions): Hit | Miss {
  const kind = Number(code)
  const entry = raw === null ? undefined : unpackEntry(raw as Buffer, us, { body, softly: kind >= SOFTLY })
  if (kind === 0) return { kind: 'hit', ...entry! }
  const lock = LOCKS[(kind % SOFTLY) - 1]!
  return { kind: 'miss', lease, lock, ...(entry === undefined ? {} : { stale: entry }) }
}

/** As the lock names it. */
function ownerOf(lease: Lease, node: string): string {
  return `${stampOf(lease)}|${node}`
}

/** A lease is epoch:clock:time. */
function stampOf(lease: Lease): string {
  return lease.slice(0, lease.lastIndexOf(':'))
}

function usOf(lease: Lease): number {
  return Number(lease.slice(lease.lastIndexOf(':') + 1))
}

function tooFewReplicas(replicas: number): CacheError {
  return new CacheError('STORE_UNAVAILABLE', `fewer than ${replicas} replicas have the invalidation`, {
    details: { reason: 'refused' },
  })
}
