import { ms, systemClock, type Clock, type Duration } from '@keelson/kernel/core'
import { SyncClientError } from './error.ts'
import type { Locks, SyncClientOptions } from './sync-client.ts'
import type { HeadersLike } from './transport.ts'

const NAME = /^[a-z][a-z0-9_]{0,62}$/
const KNOWN = 'url store collections headers fetch interval live locks clock retry schemaVersion retry.min retry.max'

/** Options as they hold. */
export interface CheckedOptions {
  readonly url: string
  readonly priorities: ReadonlyMap<string, number>
  readonly headers: () => HeadersLike | Promise<HeadersLike>
  readonly fetch: typeof fetch
  readonly intervalMs: number | undefined
  readonly live: boolean
  readonly locks: Locks | undefined
  readonly clock: Clock
  readonly minMs: number
  readonly maxMs: number
  readonly schemaVersion: number | undefined
}

/** @throws SyncClientError OPTION_INVALID that names option, value and what is allowed */
export function checkOptions(o: SyncClientOptions): CheckedOptions {
  const demand = (isRight: boolean, option: string, allowed: string, value: unknown): void => {
    if (isRight) return
    const shown = typeof value === 'object' || typeof value === 'function' ? typeof value : JSON.stringify(value)
    throw new SyncClientError('OPTION_INVALID', `"${option}" must be ${allowed} (got ${shown})`)
  }
  const duration = (value: Duration, option: string): number => {
    let found: number
    try {
      found = ms(value, option)
    } catch (error) {
      throw new SyncClientError('OPTION_INVALID', (error as Error).message)
    }
    demand(found > 0, option, 'longer than 0', value)
    return found
  }
  demand(typeof o === 'object' && o !== null, 'createSyncClient', 'given an object of options', o)
  const { url, store, collections, schemaVersion, interval = '30s', retry = {}, live = false } = o
  demand(typeof retry === 'object' && retry !== null, 'retry', 'an object of min and max', retry)
  for (const option of [...Object.keys(o), ...Object.keys(retry).map((name) => `retry.${name}`)])
    demand(KNOWN.split(' ').includes(option), option, `left out: known are ${KNOWN}`, undefined)
  demand(typeof url === 'string' && url !== '', 'url', 'where the routes of the server are', url)
  demand(typeof store?.update === 'function', 'store', 'a ClientStore such as memoryStore()', store)
  const isObject = typeof collections === 'object' && collections !== null
  demand(
    isObject && Object.keys(collections).length > 0,
    'collections',
    'an object with a member for each collection',
    collections,
  )
  for (const option of ['headers', 'fetch'] as const)
    demand(o[option] === undefined || typeof o[option] === 'function', option, 'a function', o[option])
  demand(typeof live === 'boolean', 'live', 'true or false', live)
  demand(o.locks === undefined || typeof o.locks?.request === 'function', 'locks', 'a LockManager', o.locks)
  demand(o.clock === undefined || typeof o.clock?.timer === 'function', 'clock', 'a Clock', o.clock)
  const priorities = new Map<string, number>()
  for (const [name, one] of Object.entries(collections)) {
    demand(NAME.test(name), 'collections', `of names that match ${NAME.source}`, name)
    demand(typeof one === 'object' && one !== null, `collections.${name}`, 'an object such as {}', one)
    const { priority = 0 } = one
    demand(Number.isFinite(priority), `collections.${name}.priority`, 'a number', priority)
    priorities.set(name, priority)
  }
  const isVersion = schemaVersion === undefined || (Number.isInteger(schemaVersion) && schemaVersion > 0)
  demand(isVersion, 'schemaVersion', 'a whole number from 1', schemaVersion)
  const { locks = (globalThis.navigator as { locks?: Locks } | undefined)?.locks } = o
  return {
    url: url.replace(/\/+$/, ''),
    priorities,
    headers: () => o.headers?.(),
    // Browsers want to be called by nobody.
    fetch: o.fetch ?? ((...args) => fetch(...args)),
    intervalMs: interval === false ? undefined : duration(interval, 'interval'),
    live,
    locks,
    clock: o.clock ?? systemClock,
    minMs: duration(retry.min ?? '1s', 'retry.min'),
    maxMs: duration(retry.max ?? '5m', 'retry.max'),
    schemaVersion,
  }
}
