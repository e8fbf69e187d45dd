import { checkOptions, KernelError, opt, type Duration } from '@keelson/kernel'
import {
  redisPort,
  type Arg,
  type IoredisLike,
  type NodeRedisLike,
  type RedisPort,
  type RedisReply,
  type Script,
} from '@keelson/kernel/redis'
import { optionFailure } from '../error.ts'
import type { Fingerprint } from '../fingerprint.ts'
import { operationIdOf } from '../nonce.ts'
import type { RefDigest } from '../ref.ts'
import type { Begin, Claim, IdempotencyStore, Own, Settlement, SubjectRecord } from '../store.ts'
import { beginScript } from './begin.lua.ts'
import { packMeta, unpackMeta } from './meta.ts'
import { clearScript, peekScript } from './operator.lua.ts'
import { STATES } from './record.lua.ts'
import { settleScript } from './settle.lua.ts'
import { eraseScript, heldScript, noteScript } from './subject.lua.ts'
import { touchScript } from './touch.lua.ts'
import { createWakeUps } from './wake-ups.ts'

/** What `redisStore` takes; all optional. */
export interface RedisStoreOptions {
  /** In front of every key and of the channel of wake-ups; default 'keelson:idem'. */
  readonly prefix?: string
  /** Replicas that must have a claim and an answer before they count: what a failover must not lose. Default 0. */
  readonly replicas?: number
  /** How long they may take; default 100 ms. It must be well below the core's `storeTimeout`. */
  readonly replicaTimeout?: Duration
}

const SPEC = {
  prefix: opt.string('keelson:idem', { match: /^[^\s{}]+$/, allowed: 'a text without spaces and braces' }),
  replicas: opt.integer(0, { max: 100 }),
  replicaTimeout: opt.duration('100ms', { min: 1, max: '1m' }),
}

const ALGS: readonly (Fingerprint['alg'] | undefined)[] = [undefined, 'raw', 'json', 'multipart', 'custom']
/** As the settle script numbers them; the middle ones are states of a record. */
const ENDS: readonly Settlement['kind'][] = ['release', 'done', 'tombstone', 'unknown', 'lapse']
const NO_DIGEST = new Uint8Array(32)
/** A subject's records are known for so long over what was asked for: a run may take a day. */
const LONGEST_RUN_MS = 86_400_000
/** Records of a subject that are asked for at once. */
const SUBJECT_STEP = 50

/**
 * Idempotency records in Redis 6.2 or later: an ioredis 5 or 6 Redis or Cluster, a node-redis client or cluster, or a
 * RedisPort. One key a record, one script a step, time by the server. Nothing is sent before the first call; the
 * client stays the application's. Waiting for another process opens one more connection, until `close()`.
 * @throws IdempotencyError OPTION_INVALID; KernelError OPTION_INVALID for what is no client
 */
export function redisStore(
  client: IoredisLike | NodeRedisLike | RedisPort,
  options: RedisStoreOptions = {},
): IdempotencyStore & { readonly transactional: false } {
  const { prefix, replicas, replicaTimeout } = checkOptions('redisStore', options, SPEC, optionFailure)
  const port = redisPort(client)
  const channel = `${prefix}:ended`
  const wakeUps = createWakeUps(port, channel)

  function keyOf(ref: RefDigest): string {
    return `${prefix}:${Buffer.from(ref.buffer, ref.byteOffset, ref.byteLength).toString('base64url')}`
  }

  const subjectKey = (subject: Uint8Array): string => `${prefix}:subject:${Buffer.from(subject).toString('base64url')}`

  /** Which records speak of a person, before there is an answer, so that none is missed. */
  async function note(ref: RefDigest, { subject, retainMs, leaseMs }: Claim): Promise<void> {
    if (subject === undefined) return
    const keepMs = Math.ceil(Math.max(retainMs, leaseMs)) + LONGEST_RUN_MS
    const [, enough] = await replicated(subjectKey(subject), noteScript, [ref, keepMs])
    if (!enough) throw tooFewReplicas(replicas)
  }

  /** A script whose writes must reach the replicas: WAIT counts those of its own connection. */
  async function replicated(key: string, script: Script, args: readonly Arg[]): Promise<[RedisReply, enough: boolean]> {
    if (replicas === 0) return [await port.script(script, [key], args), true]
    const wait = ['WAIT', replicas, Math.ceil(replicaTimeout)]
    const [reply, count] = await port.pipeline(key, [{ script, keys: [key], args }, wait])
    return [reply!, Number(count) >= replicas]
  }

  async function settle(ref: RefDigest, own: Own, state: number, answer: Uint8Array, retainMs: number) {
    const args = [own.nonce, String(own.fence), state, answer, Math.ceil(retainMs), channel, ref]
    const [reply, enough] = await replicated(keyOf(ref), settleScript, args)
    if (reply !== 1) return 'lost'
    if (!enough) throw tooFewReplicas(replicas)
    return 'ok'
  }

  /** A claim that no failover must find: as if it had not been; of a lost owner's key only the lease ends. */
  async function giveBack(ref: RefDigest, { nonce, fence }: Own, attempt: number): Promise<void> {
    const end = ENDS.indexOf(attempt > 1 ? 'lapse' : 'release')
    await port.script(settleScript, [keyOf(ref)], [nonce, String(fence), end, '', 1, channel, ref])
  }

  return {
    transactional: false,

    async begin(ref, claim) {
      const { nonce, fingerprint, leaseMs, retainMs, onLapsed, trace } = claim
      const args = [
        nonce,
        ALGS.indexOf(fingerprint?.alg),
        fingerprint?.digest ?? NO_DIGEST,
        Math.ceil(leaseMs),
        Math.ceil(retainMs),
        onLapsed === 'take' ? 1 : 0,
        packMeta(trace),
      ]
      // In one flight: on a Cluster they may be of two nodes.
      const [[reply, enough]] = await Promise.all([replicated(keyOf(ref), beginScript, args), note(ref, claim)])
      const begin = beginOf(reply as RedisReply[])
      if (!enough && begin.kind === 'done') return { ...begin, stored: false }
      if (enough || begin.kind !== 'yours') return begin
      await giveBack(ref, { nonce, fence: begin.fence }, begin.attempt).catch(() => {})
      throw tooFewReplicas(replicas)
    },

    settle: async (ref, own, as, retainMs) =>
      settle(ref, own, ENDS.indexOf(as.kind), as.kind === 'done' ? as.bytes : new Uint8Array(0), retainMs),

    async touch(ref, own, leaseMs, checkpoint) {
      const args = [own.nonce, String(own.fence), Math.ceil(leaseMs), ...(checkpoint === undefined ? [] : [checkpoint])]
      return (await port.script(touchScript, [keyOf(ref)], args)) === 1 ? 'ok' : 'lost'
    },

    async peek(ref) {
      const reply = await port.script(peekScript, [keyOf(ref)], [])
      if (reply === null) return null
      const [state, attempt, ageMs, leaseLeftMs, expiresInMs, bytes, nonce] = reply as [
        ...[number, number, number, number, number, number],
        Buffer,
      ]
      return {
        state: STATES[state]!,
        attempt,
        ageMs,
        ...(state === 0 ? { leaseLeftMs } : {}),
        expiresInMs,
        bytes,
        operationId: operationIdOf(nonce),
      }
    },

    async clear(ref, how) {
      const [name, answer] = typeof how === 'string' ? [how, ''] : ['answer', how.bytes]
      return (await port.script(clearScript, [keyOf(ref)], [name, answer, channel, ref])) === 1
    },

    async *ofSubject(subject, how): AsyncIterable<SubjectRecord> {
      const key = subjectKey(subject)
      const refs = (await port.command(key, ['ZRANGE', key, 0, -1])) as Buffer[]
      const script = how === 'export' ? heldScript : eraseScript
      for (let at = 0; at < refs.length; at += SUBJECT_STEP) {
        const step = refs.slice(at, at + SUBJECT_STEP)
        const replies = await Promise.all(step.map((ref) => port.script(script, [keyOf(ref)], [])))
        for (const [i, reply] of replies.entries()) {
          if (reply === null) continue
          const [state, began, bytes] = reply as [number, number, Buffer]
          yield { ref: step[i]!, at: began, kind: STATES[state] === 'done' ? 'answer' : 'checkpoint', bytes }
        }
      }
    },

    wait: wakeUps.wait,

    async warnings() {
      const info = String(await port.command(null, ['INFO', 'memory']))
      const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1]
      if (policy === undefined || policy === 'noeviction') return []
      return [`Redis may evict idempotency records (maxmemory-policy ${policy}): use noeviction`]
    },

    async health() {
      await port.command(null, ['PING'])
    },

    close: wakeUps.close,
  }
}

function beginOf([kind, skipped, ...rest]: RedisReply[]): Begin {
  const note = skipped === 1 ? { fingerprintSkipped: true as const } : {}
  switch (String(kind)) {
    case 'yours': {
      const [fence, attempt, checkpoint] = rest as [number, number, Buffer]
      return { kind: 'yours', fence: BigInt(fence), attempt, ...(checkpoint.length === 0 ? {} : { checkpoint }) }
    }
    case 'done': {
      const [bytes, attempt, nonce, meta] = rest as [Buffer, number, Buffer, Buffer]
      const trace = unpackMeta(meta)
      const operationId = operationIdOf(nonce)
      return { kind: 'done', bytes, attempt, operationId, ...(trace === undefined ? {} : { trace }), ...note }
    }
    case 'tombstone': {
      const [attempt, nonce] = rest as [number, Buffer]
      return { kind: 'tombstone', attempt, operationId: operationIdOf(nonce), ...note }
    }
    case 'busy':
      return { kind: 'busy', leaseLeftMs: rest[0] as number, ...note }
    case 'lapsed':
      return { kind: 'lapsed', attempt: rest[0] as number, ...note }
    case 'unknown':
      return { kind: 'unknown', ...note }
    default:
      return { kind: 'mismatch' }
  }
}

function tooFewReplicas(replicas: number): KernelError {
  return new KernelError('STORE_UNAVAILABLE', `fewer than ${replicas} replicas have the record`, {
    retryAfter: 1_000,
    details: { reason: 'refused' },
  })
}
