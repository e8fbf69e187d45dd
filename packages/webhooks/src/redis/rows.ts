import type { RedisReply } from '@keelson/kernel/redis'
import type { DeliveryStatus } from '../delivery.ts'
import type { LaneHealth, LaneNotice } from '../lane.ts'
import type {
  AttemptRow,
  DeliveryRow,
  EndpointRow,
  KeyRow,
  NewEvent,
  StoredAttempt,
  StoredEndpoint,
  StoredEvent,
} from '../store.ts'
import { readSecrets } from '../kept-secrets.ts'
import { HEALTH_FIELDS, RULE_FIELDS } from './record.lua.ts'
import { rulesOf } from './rules.ts'

/* What the scripts answer, row by row; an empty text is null. */

const msOrNull = (text: string): number | null => (text === '' ? null : Number(text))

/** What of an event is the same for ever, as the scripts keep it: JSON. */
export function aboutOf(e: NewEvent): string {
  const { scope, id, type, key, channel, subject, endpoint, correlationId, traceparent } = e
  return JSON.stringify({ scope, id, type, key, channel, subject, endpoint, correlationId, traceparent })
}

/** Where the head of an event's row has its time, whether it is erased, and how long the tail behind the head is. */
const AT = 0
const ERASED = 6
const TAIL_BYTES = 26
const TAIL = 30

/** Of an event's row and its bytes. */
export function eventOf(row: Buffer, bytes: Buffer | null): StoredEvent {
  const about = row.toString('utf8', TAIL + row.readUInt32BE(TAIL_BYTES))
  return {
    ...(JSON.parse(about) as Omit<StoredEvent, 'body' | 'createdAtMs' | 'erased'>),
    body: bytes ?? Buffer.alloc(0),
    createdAtMs: row.readUIntBE(AT, 6),
    erased: row[ERASED] === 1,
  }
}

/** Of `lane_reply`. */
export function laneOf(reply: RedisReply): StoredEndpoint {
  const [config, secrets, reason, at, updated, revision, ...rest] = (reply as Buffer[]).map(String) as [
    ...[string, string, string, string, string, string],
    ...string[],
  ]
  const rules = rest.slice(0, RULE_FIELDS.length)
  const health = rest.slice(RULE_FIELDS.length, RULE_FIELDS.length + HEALTH_FIELDS.length)
  const [scope, id, state] = rest.slice(RULE_FIELDS.length + HEALTH_FIELDS.length) as [string, string, string]
  return {
    scope,
    id,
    state: state as EndpointRow['state'],
    disabledReason: reason === '' ? null : reason,
    config,
    secrets: readSecrets(secrets),
    rules: rulesOf(rules),
    revision: Number(revision),
    createdAtMs: Number(at),
    updatedAtMs: Number(updated),
    health: healthOf(health),
  }
}

function healthOf(texts: readonly string[]): LaneHealth {
  const field = (name: (typeof HEALTH_FIELDS)[number]): string => texts[HEALTH_FIELDS.indexOf(name)]!
  return {
    inFlight: Number(field('in_flight')),
    redriven: Number(field('redriven')),
    limit: Number(field('limit')),
    suspect: field('suspect') === 'true',
    blockedUntilMs: msOrNull(field('blocked_until')),
    blockedBy: (field('blocked_by') || null) as LaneHealth['blockedBy'],
    failures: Number(field('failures')),
    openUntilMs: msOrNull(field('open_until')),
    cooldownMs: Number(field('cooldown')),
    failingSinceMs: msOrNull(field('failing_since')),
    noticed: Number(field('noticed')),
    rateUsedMs: Number(field('rate_used')),
  }
}

/** Of the settle script: 'disabled:gone', 'failing:50', 'recovered' or ''. */
export function noticesOf(text: string): LaneNotice[] {
  if (text === '') return []
  const [kind, more] = text.split(':') as [LaneNotice['kind'], string?]
  switch (kind) {
    case 'disabled':
      return [{ kind, reason: more as 'gone' | 'failing' }]
    case 'failing':
      return [{ kind, percent: Number(more) as 50 | 70 | 90 }]
    case 'recovered':
      return [{ kind }]
  }
}

/** Of `delivery_reply`. */
export function deliveryOf(reply: RedisReply): DeliveryRow {
  const [id, scope, event, type, endpoint, status, reason, held, attempts, next, at, finished] = (
    reply as Buffer[]
  ).map(String) as [
    ...[string, string, string, string, string, string],
    ...[string, string, string, string, string, string],
  ]
  return {
    id,
    scope,
    event,
    type,
    endpoint,
    status: status as DeliveryStatus,
    reason: (reason || null) as DeliveryRow['reason'],
    held: (held || null) as DeliveryRow['held'],
    attempts: Number(attempts),
    nextAttemptAtMs: msOrNull(next),
    createdAtMs: Number(at),
    finishedAtMs: msOrNull(finished),
  }
}

/** Duration, outcome and what a row and an erasure keep of an attempt; nothing for none. */
export function attemptArgs(attempt: AttemptRow | null): [string, number, string, string] {
  if (attempt === null) return ['', 0, '', '']
  const { outcome, durationMs, status, remoteAddress, response, error } = attempt
  return [outcome, durationMs, JSON.stringify({ durationMs, status, remoteAddress }), JSON.stringify([response, error])]
}

/** Of the attempts script. */
export function attemptOf(reply: RedisReply): StoredAttempt {
  const [fence, number, at, outcome, base, kept] = (reply as RedisReply[]).map(String) as [
    ...[string, string, string, string, string, string],
  ]
  const [response, error] = JSON.parse(kept) as [string | null, string | null]
  return {
    ...(JSON.parse(base) as Pick<AttemptRow, 'durationMs' | 'status' | 'remoteAddress'>),
    outcome: outcome as AttemptRow['outcome'],
    response,
    error,
    fence: Number(fence),
    number: Number(number),
    atMs: Number(at),
  }
}

/** Of a key of a user. */
export function keyOf(reply: RedisReply): KeyRow {
  const [keyId, scope, principal, sealed, at, expires] = reply as Buffer[]
  return {
    keyId: String(keyId),
    scope: String(scope),
    principal: String(principal),
    sealed: new Uint8Array(sealed!),
    createdAtMs: Number(at),
    expiresAtMs: msOrNull(String(expires)),
  }
}
