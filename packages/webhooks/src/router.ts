import { traced } from '@keelson/kernel'
import { match, type Audiences, type Matchable } from './audiences.ts'
import { readBody } from './event-body.ts'
import type { StoredEvent, Unrouted, WebhookStore } from './store.ts'

/** Turns committed events into deliveries. */
export interface Router {
  /** A batch; true when more may be waiting. */
  step(): Promise<boolean>
}

const LIMIT = 256
const LEASE_MS = 5_000
/** An audience that changes faster than it is read is left to the next batch. */
const TRIES = 3

export function createRouter(
  store: Pick<WebhookStore, 'takeUnrouted' | 'route'>,
  call: <T>(fn: () => Promise<T>) => Promise<T>,
  audiences: Audiences,
): Router {
  async function route(taken: readonly Unrouted[], tries: number): Promise<void> {
    const listeners = await Promise.all(taken.map(({ event, revision }) => audiences.get(event.scope, revision)))
    const routes = taken.map(({ event, token }, i) => {
      return { scope: event.scope, event: event.id, token, matched: match(matchable(event), listeners[i]!) }
    })
    const kinds = await call(() => store.route(routes))
    const moved = taken.filter((_, i) => kinds[i] === 'moved')
    for (const { event } of moved) audiences.forget(event.scope)
    if (moved.length > 0 && tries > 1)
      await route(
        moved.map((one) => ({ ...one, revision: '' })),
        tries - 1,
      )
  }

  return {
    async step() {
      const taken = await call(() => store.takeUnrouted(LIMIT, LEASE_MS))
      if (taken.length === 0) return false
      await traced(
        'webhooks:route',
        () => ({ events: taken.length }),
        () => route(taken, TRIES),
      )
      return true
    },
  }
}

function matchable(event: StoredEvent): Matchable {
  const { type, channel, endpoint } = event
  return {
    type,
    ...(channel === undefined ? {} : { channel }),
    ...(endpoint === undefined ? {} : { endpoint }),
    data: () => (event.erased ? null : readBody(event.body).data),
  }
}
