import { personal, type Audit, type EntryInput } from '@keelson/audit'
import type { Caches } from '@keelson/cache'
import type { Effect, Logger } from '@keelson/kernel'
import { createSync, type CollectionOptions, type Conflict, type Sync, type SyncStore, type Win } from '@keelson/sync'
import type { Action } from './audit.ts'
import { parcel, writeDown, type Parcel } from './domain/shipments.ts'
import { tagsOf } from './cache-tags.ts'
import type { Environment } from './environment.ts'
import type { ParcelWebhooks } from './webhooks.ts'

export type ParcelSync = Sync<{ parcel: CollectionOptions<Parcel> }>

/** What couriers do must also be true there, in the same commit. */
interface Beside {
  readonly caches: Caches
  readonly webhooks: ParcelWebhooks
  readonly audit: Audit
  readonly logger: Logger
}

/** The couriers of a merchant are one team: all see its parcels, and nobody else's. */
export const teamOf = (merchant: string): string => `${merchant}/couriers`

/** What couriers may write; the rest is the office's. */
const OWN: readonly string[] = ['note', 'doorCode', 'place'] satisfies (keyof Parcel)[]

/** Parcels on the devices of couriers, who work without a network. */
export function openSync(
  { STORE_TIMEOUT: storeTimeout }: Pick<Environment, 'STORE_TIMEOUT'>,
  store: SyncStore,
  beside: Beside,
): ParcelSync {
  const parcels: CollectionOptions<Parcel> = {
    // Of a note or a place that a newer one replaced the merchant hears, too; of a door's code only the newest counts.
    fields: {
      merchant: 'lww',
      to: 'lww',
      status: 'lww',
      note: { rule: 'lww', notify: true },
      doorCode: 'lww',
      place: { rule: 'lww', notify: true },
    },
    schema: parcel,
    scope: ({ merchant }) => teamOf(merchant),
    subject: ({ merchant }) => merchant,
    authorize: (_, { t, set = {}, unset = [] }) =>
      (t === 'patch' && [...Object.keys(set), ...unset].every((field) => OWN.includes(field))) ||
      `a courier writes ${OWN.join(', ')} and nothing else`,
    async apply(tx, wins) {
      await writeDown(tx!, new Map(wins.map(({ id, after }) => [id, after!])))
      return wins.flatMap((win) => effectsOf(win, beside))
    },
  }
  return createSync({
    store,
    collections: { parcel: parcels },
    scopes: ({ scope }) => [teamOf(scope!)],
    onConflict: async (_, conflict) => noticesOf(conflict, beside),
    storeTimeout,
    logger: beside.logger,
  })
}

function effectsOf({ id, before, after, changed }: Win<Parcel>, { audit, webhooks, caches }: Beside): Effect[] {
  const { merchant, to, place } = after!
  const entry: EntryInput = {
    scope: merchant,
    action: 'shipment.update' satisfies Action,
    target: { type: 'shipment', id },
    old: written(before!, merchant),
    new: written(after!, merchant),
  }
  const effects: Effect[] = [audit.entry(entry), caches.scope(merchant).drop(...tagsOf(merchant, id))]
  if (place !== undefined && changed.includes('place')) {
    const order = { scope: merchant, key: id, subject: merchant }
    effects.push(webhooks.event('shipment.delivered', { id, to, place }, order))
  }
  return effects
}

/** What is at somebody's door goes when the merchant does. */
function written(doc: Parcel, merchant: string): Record<string, unknown> {
  const fields = (['note', 'doorCode', 'place'] as const).filter((field) => doc[field] !== undefined)
  return Object.fromEntries(fields.map((field) => [field, personal(merchant, doc[field]!)]))
}

/** Who lost what is on record, and told to the merchant; the courier's device hears it by itself. */
function noticesOf(conflict: Conflict, { audit, webhooks }: Beside): Effect[] {
  const { record: id, principal: courier, code, scope } = conflict
  const merchant = scope.slice(0, -teamOf('').length)
  const lost = lostFields(conflict)
  return [
    audit.entry({
      scope: merchant,
      action: 'shipment.conflict' satisfies Action,
      actor: { type: 'courier', id: courier },
      target: { type: 'shipment', id },
      outcome: 'failure',
      data: { code, lost },
    }),
    webhooks.event('shipment.conflict', { id, courier, code, lost }, { scope: merchant, key: id, subject: merchant }),
  ]
}

/** What was meant, and is not there. */
function lostFields({ op: { set = {} }, current }: Conflict): string[] {
  const held = (current ?? {}) as Record<string, unknown>
  return Object.keys(set).filter((field) => held[field] !== set[field])
}
