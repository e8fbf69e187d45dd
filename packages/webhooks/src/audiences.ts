import type { EndpointConfig } from './endpoint-config.ts'
import { matchesType } from './patterns.ts'
import type { Audience, Matched } from './store.ts'
import { deliveryId } from './ids.ts'

/** What of an event decides who gets it. */
export interface Matchable {
  readonly type: string
  readonly channel?: string
  /** To this endpoint alone. */
  readonly endpoint?: string
  /** As it is sent; asked for only where a filter is. */
  data(): unknown
}

/** An audience, read once for many events. */
export interface Listeners {
  readonly revision: string
  /** Those whose types say yes. */
  ofType(type: string): readonly Listener[]
}

interface Listener {
  readonly id: string
  readonly types: readonly string[]
  readonly channels?: readonly string[]
  readonly filter?: EndpointConfig['filter']
}

/** Types are few; who makes them up at run time does not fill the memory. */
const MAX_TYPES = 1_000

export function listenersOf({ revision, endpoints, handlers }: Audience): Listeners {
  const all: Listener[] = [
    ...endpoints.map(({ id, config }) => ({ ...(JSON.parse(config) as EndpointConfig), id })),
    ...handlers.map(({ name, types }) => ({ id: `fn:${name}`, types })),
  ]
  const known = new Map<string, readonly Listener[]>()
  return {
    revision,
    ofType(type) {
      let found = known.get(type)
      if (found === undefined) {
        found = all.filter(({ types }) => types.some((pattern) => matchesType(pattern, type)))
        if (known.size < MAX_TYPES) known.set(type, found)
      }
      return found
    },
  }
}

/** Who of them gets an event. The only place where events meet endpoints: all stores agree. */
export function match(event: Matchable, { revision, ofType }: Listeners): Matched {
  const ids =
    event.endpoint === undefined
      ? ofType(event.type)
          .filter((listener) => listens(listener, event))
          .map(({ id }) => id)
      : [event.endpoint]
  return { revision, deliveries: ids.map((endpoint) => ({ id: deliveryId(), endpoint })) }
}

/** Channel and filter must both say yes. */
function listens({ channels, filter }: Listener, event: Matchable): boolean {
  if (channels !== undefined && (event.channel === undefined || !channels.includes(event.channel))) return false
  if (filter === undefined) return true
  const data = event.data()
  return Object.entries(filter).every(([path, values]) => values.includes(at(data, path) as never))
}

const { propertyIsEnumerable: isEnumerable } = Object.prototype

/** What stands at a dot path; undefined for nothing. */
function at(data: unknown, path: string): unknown {
  let value = data
  for (const name of path.split('.')) {
    // Own and enumerable, which is what JSON has: no prototype, and no length of a list.
    if (typeof value !== 'object' || value === null || !isEnumerable.call(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/** Audiences that this process has read, by scope; a bounded number, the latest stay. */
export interface Audiences {
  /** The one that it has, of whatever revision. */
  known(scope: string): Listeners | undefined
  /** The one of `revision`, or the latest there is. */
  get(scope: string, revision: string): Promise<Listeners>
  forget(scope: string): void
}

const MAX_SCOPES = 1_000

export function createAudiences(read: (scope: string) => Promise<Audience>): Audiences {
  const kept = new Map<string, Listeners>()
  const reading = new Map<string, Promise<Listeners>>()

  async function keep(scope: string, mine: () => Promise<Listeners>): Promise<Listeners> {
    try {
      const listeners = listenersOf(await read(scope))
      // Forgotten meanwhile: it may be older than what forgot it.
      if (reading.get(scope) !== mine()) return listeners
      kept.delete(scope)
      kept.set(scope, listeners)
      if (kept.size > MAX_SCOPES) kept.delete(kept.keys().next().value!)
      return listeners
    } finally {
      if (reading.get(scope) === mine()) reading.delete(scope)
    }
  }

  return {
    known: (scope) => kept.get(scope),
    async get(scope, revision) {
      const known = kept.get(scope)
      if (known?.revision === revision) return known
      const under = reading.get(scope)
      if (under !== undefined) return under
      const mine: Promise<Listeners> = keep(scope, () => mine)
      reading.set(scope, mine)
      return mine
    },
    forget(scope) {
      kept.delete(scope)
      reading.delete(scope)
    },
  }
}
