import {
  context,
  traced,
  type Clock,
  type Effect,
  type EffectContext,
  type Logger,
  type Statement,
  type Tx,
} from '@keelson/kernel'
import { match, type Audiences } from './audiences.ts'
import { isName } from './endpoint-config.ts'
import { WebhookError } from './error.ts'
import { eventBody } from './event-body.ts'
import { eventId } from './ids.ts'
import { checkDate, checkMembers, checkName, checkObject, checkScope, inputFailure, shown } from './input.ts'
import type { WebhookMetrics } from './metrics.ts'
import { isEventType, typeAllowed } from './patterns.ts'
import { isMessageId, messageIdAllowed } from './signing/message-id.ts'
import type { NewEvent, WebhookStore } from './store.ts'
import type { EventCatalog, SendOptions } from './webhooks.ts'

/** The effect of an event. */
type EventEffect = Effect & { readonly kind: 'webhook.event'; readonly id: string }

/** How events are written. */
export interface Publishing {
  event(type: string, data: unknown, o: SendOptions): EventEffect
  send(events: readonly Outgoing[], tx: Tx | undefined): Promise<{ id: string; duplicate: boolean }[]>
  /** An event of ours: no catalogue has it. */
  own(type: `webhooks.${string}`, data: unknown, o: SendOptions & { endpoint?: string }): Promise<{ id: string }>
}

/** An event with its options, as `send` takes it. */
type Outgoing = SendOptions & { readonly type: string; readonly data: unknown }

/** What events are written with. */
export interface PublishingParts {
  readonly store: WebhookStore
  call<T>(fn: () => Promise<T>): Promise<T>
  readonly catalog: EventCatalog | undefined
  readonly maxPayloadBytes: number
  readonly audiences: Audiences
  /** Rings the router of this process. */
  wake(): void
  readonly metrics: WebhookMetrics
  readonly clock: Clock
  readonly logger: Logger
}

const MEMBERS = ['scope', 'id', 'key', 'channel', 'subject', 'notBefore']
const MAX_EVENTS = 1_000

/** An event without what the context knows. */
interface Made {
  readonly event: NewEvent
  readonly data: () => unknown
}

/** Effects of one store are written together. */
const madeOf = new WeakMap<Effect, { readonly store: WebhookStore; readonly event: NewEvent }>()

export function createPublishing(o: PublishingParts): Publishing {
  const { store, call, catalog, audiences, metrics, clock } = o

  function make(owner: string, type: string, data: unknown, options: SendOptions): Made {
    checkMembers(owner, options, MEMBERS)
    const { scope, id = eventId(), key, channel, subject, notBefore } = options
    checkScope(owner, scope)
    if (!isEventType(type)) throw inputFailure(`${owner}: "type" must be ${typeAllowed} (got ${shown(type)})`)
    if (catalog !== undefined && !Object.hasOwn(catalog, type)) {
      throw new WebhookError('UNKNOWN_EVENT_TYPE', `${owner}: "${type}" is not one of "events"`)
    }
    if (!isMessageId(id)) throw inputFailure(`${owner}: "id" must be ${messageIdAllowed} (got ${shown(id)})`)
    checkName(owner, 'key', key)
    checkName(owner, 'channel', channel)
    checkName(owner, 'subject', subject)
    checkDate(owner, 'notBefore', notBefore)
    const kind = catalog?.[type]
    const made = eventBody({ type, kind, data, nowMs: clock.now(), maxBytes: o.maxPayloadBytes })
    const event: NewEvent = {
      scope,
      id,
      type,
      body: made.body,
      digest: made.digest,
      ...(key === undefined ? {} : { key }),
      ...(channel === undefined ? {} : { channel }),
      ...(subject === undefined ? {} : { subject }),
      ...(notBefore === undefined ? {} : { notBeforeMs: notBefore.getTime() }),
    }
    return { event, data: made.data }
  }

  /** Matched by what this process knows: the store sees whether that is still true. */
  function matched({ event, data }: Made): NewEvent {
    const listeners = audiences.known(event.scope)
    return listeners === undefined ? event : { ...event, matched: match({ ...event, data }, listeners) }
  }

  async function publish(
    events: readonly NewEvent[],
    tx: Tx | undefined,
  ): Promise<{ id: string; duplicate: boolean }[]> {
    // In a transaction nothing of ours may stand between the caller and its connection.
    const kinds = await traced(
      'webhooks:publish',
      () => ({ events: events.length }),
      () => (tx === undefined ? call(() => store.publish(events)) : store.publish(events, tx)),
    )
    for (const kind of kinds) metrics.events.inc({ result: kind })
    if (tx === undefined) o.wake()
    const conflicts = events.filter((_, i) => kinds[i] === 'conflict')
    for (const { id, scope } of conflicts) o.logger.warn({ event: id, scope }, 'webhooks.event_conflict')
    if (conflicts.length > 0 && tx === undefined) {
      const ids = conflicts.map(({ id }) => id)
      throw new WebhookError('EVENT_CONFLICT', `another event has the id ${ids.join(', ')}`, { details: { ids } })
    }
    return events.map(({ id }, i) => ({ id, duplicate: kinds[i] !== 'fresh' }))
  }

  function written(event: NewEvent, ctx: Pick<EffectContext, 'correlationId' | 'traceparent'> | undefined): NewEvent {
    const { correlationId, traceparent } = ctx ?? {}
    return {
      ...event,
      // Whoever made it up: it must keep no event from its way.
      ...(isName(correlationId) ? { correlationId } : {}),
      ...(traceparent === undefined ? {} : { traceparent }),
    }
  }

  return {
    event(type, data, options) {
      const { event } = make('event', type, data, options)
      const base = { kind: 'webhook.event', id: event.id, afterCommit: () => o.wake() } as const
      if (store.publishStatements === undefined) {
        return {
          ...base,
          async perform(ctx) {
            await publish([written(event, ctx)], undefined)
          },
        }
      }
      const statements = (events: readonly NewEvent[]): readonly Statement[] => {
        for (const _ of events) metrics.events.inc({ result: 'transactional' })
        return store.publishStatements!(events)
      }
      const effect: EventEffect = {
        ...base,
        statements: (ctx) => statements([written(event, ctx)]),
        combine(others, ctx) {
          const ours = [effect, ...others].map((one) => madeOf.get(one))
          const together = ours.flatMap((one) => (one?.store === store ? [written(one.event, ctx)] : []))
          const apart = others.filter((one) => madeOf.get(one)?.store !== store)
          return [...statements(together), ...apart.flatMap((one) => one.statements?.(ctx) ?? [])]
        },
      }
      madeOf.set(effect, { store, event })
      return effect
    },

    async send(outgoing, tx) {
      if (!Array.isArray(outgoing) || outgoing.length > MAX_EVENTS) {
        throw inputFailure(`sendMany: "events" must be an array of at most ${MAX_EVENTS}`)
      }
      if (tx !== undefined && !store.transactional) {
        throw new WebhookError('STORE_NOT_TRANSACTIONAL', `send: the ${store.kind} store has no part in a transaction`)
      }
      // Null is a transaction that somebody forgot: without it the event would outlive a rollback.
      if (tx !== undefined && typeof (tx as Partial<Tx> | null)?.query !== 'function') {
        throw inputFailure(`send: "tx" must be an open transaction, an object with query() (got ${shown(tx)})`)
      }
      if (outgoing.length === 0) return []
      const made = outgoing.map((one) => {
        const { type, data, ...options } = checkObject('sendMany: an event', one)
        return make('send', type, data, options)
      })
      const events = made.map((one) => written(tx === undefined ? matched(one) : one.event, context.get()))
      return publish(events, tx)
    },

    async own(type, data, { endpoint, ...options }) {
      const { scope, id = eventId() } = options
      const { body, digest } = eventBody({
        type,
        kind: undefined,
        data,
        nowMs: clock.now(),
        maxBytes: o.maxPayloadBytes,
      })
      const event: NewEvent = { scope, id, type, body, digest, ...(endpoint === undefined ? {} : { endpoint }) }
      await publish([written(event, context.get())], undefined)
      return { id }
    },
  }
}
