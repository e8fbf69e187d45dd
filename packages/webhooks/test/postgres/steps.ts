import type { Claim, NewEvent, Settlement, StoredEndpoint, WebhookStore } from '@keelson/webhooks'

let events = 0
let deliveries = 0

/** An event of scope 'a'. */
export function anEvent(id = `ev_${++events}`, more: Partial<NewEvent> = {}): NewEvent {
  return {
    scope: 'a',
    id: id.replaceAll(' ', '_'),
    type: 'x.y',
    body: new TextEncoder().encode(id),
    digest: id,
    ...more,
  }
}

export const RULES = { concurrency: 4, rate: null, leaseMs: 20_000, breaker: null, disableAfterMs: null }

export async function endpoint(
  store: WebhookStore,
  scope: string,
  id = 'ep_1',
  rules = RULES,
): Promise<StoredEndpoint> {
  const row = { scope, id, state: 'active', disabledReason: null, config: '{}', secrets: [], rules } as const
  return (await store.endpoints.insert(row, 1_000)) as StoredEndpoint
}

const deliveryId = (): string => `dl_${String(++deliveries).padStart(9, '0')}_${process.pid}`

/** Routes what one router gets to all endpoints of its scope; the ids of the events that were routed. */
export async function routeAll(store: WebhookStore): Promise<string[]> {
  const taken = await store.takeUnrouted(50, 5_000)
  const routes = await Promise.all(
    taken.map(async ({ event, revision, token }) => {
      const { endpoints } = await store.audience(event.scope)
      const to = endpoints.map(({ id }) => ({ id: deliveryId(), endpoint: id }))
      return { scope: event.scope, event: event.id, token, matched: { revision, deliveries: to } }
    }),
  )
  const kinds = await store.route(routes)
  return taken.flatMap(({ event }, i) => (kinds[i] === 'ok' ? [event.id] : []))
}

export function success({ token }: Claim): Settlement {
  const attempt = {
    durationMs: 1,
    outcome: 'success',
    status: 200,
    remoteAddress: null,
    response: 'ok',
    error: null,
  } as const
  return { token, attempt, end: { kind: 'succeeded' }, signal: { kind: 'success', fast: true } }
}
