import { viewOf, type DeliveryParts } from './deliveries.ts'
import type { Delivery } from './delivery.ts'
import { WebhookError } from './error.ts'
import { readEvent } from './handlers.ts'
import { checkName, checkRef, checkScope, inputFailure } from './input.ts'
import type { WebhookStore } from './store.ts'
import type { WebhookEvent, Webhooks } from './webhooks.ts'

/** Events as they are kept: one with its deliveries, and all of a person. */
export interface Events extends Pick<Webhooks, 'eraseSubject' | 'exportSubject'> {
  get: Webhooks['events']['get']
}

/** What events are looked at with. */
export interface EventParts extends Pick<DeliveryParts, 'cancelled'> {
  readonly store: Pick<WebhookStore, 'events' | 'deliveries'>
  /** In time for somebody who waits. */
  call<T>(fn: () => Promise<T>): Promise<T>
  /** For many rows. */
  work<T>(fn: () => Promise<T>): Promise<T>
}

const ERASE_STEP = 200
const EXPORT_PAGE = 200
const DELIVERIES_PAGE = 1_000

export function createEvents({ store, call, work, cancelled }: EventParts): Events {
  async function deliveriesOf(scope: string, event: string): Promise<Delivery[]> {
    const deliveries: Delivery[] = []
    for (let after: string | undefined; ;) {
      const page = { limit: DELIVERIES_PAGE, ...(after === undefined ? {} : { after }) }
      const found: Awaited<ReturnType<WebhookStore['deliveries']['list']>> = await call(() =>
        store.deliveries.list({ scope, event }, page),
      )
      deliveries.push(...found.rows.map((row) => viewOf(row, 'events.get', row.id)))
      if (found.next === null) return deliveries
      after = found.next
    }
  }

  return {
    async get(ref) {
      const { scope, id } = checkRef('events.get', ref)
      const event = await call(() => store.events.get(scope, id))
      if (event === null) throw new WebhookError('NOT_FOUND', `events.get: there is no such event in this scope`)
      return { ...readEvent(event), deliveries: await deliveriesOf(scope, id) }
    },

    async eraseSubject(scope, subject) {
      checkScope('eraseSubject', scope)
      checkSubject('eraseSubject', subject)
      const all = { events: 0, cancelled: 0 }
      for (;;) {
        const step = await work(() => store.events.erase(scope, subject, ERASE_STEP))
        all.events += step.events
        all.cancelled += step.cancelled
        cancelled('erased', step.cancelled)
        if (step.events < ERASE_STEP) return all
      }
    },

    async *exportSubject(scope, subject): AsyncIterable<WebhookEvent> {
      checkScope('exportSubject', scope)
      checkSubject('exportSubject', subject)
      let after: string | undefined
      for (;;) {
        const page = { limit: EXPORT_PAGE, ...(after === undefined ? {} : { after }) }
        const events = await work(() => store.events.bySubject(scope, subject, page))
        yield* events.map(readEvent)
        if (events.length < EXPORT_PAGE) return
        after = events.at(-1)!.id
      }
    },
  }
}

/** Nobody must believe that he has erased what he has not named. @throws WebhookError INPUT_INVALID */
function checkSubject(owner: string, subject: unknown): void {
  if (subject === undefined) throw inputFailure(`${owner}: "subject" is required`)
  checkName(owner, 'subject', subject)
}
