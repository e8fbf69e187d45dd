import { context } from '@keelson/kernel'

/** `true`: to all hosts; else to these, written as in URL.host. */
export type Hosts = true | readonly string[]

/** Headers of the running request for the next server, without those that `headers` has: what the caller says counts. */
export function propagated(headers: Headers, remainingMs: number): [name: string, value: string][] {
  const { retryAttempt = 0, traceparent, correlationId } = context.get() ?? {}
  const all: [string, string | undefined][] = [
    ['x-request-timeout-ms', remainingMs === Infinity ? undefined : String(Math.max(1, Math.floor(remainingMs)))],
    ['x-retry-attempt', retryAttempt > 0 ? String(retryAttempt) : undefined],
    ['traceparent', traceparent],
    ['x-correlation-id', correlationId],
  ]
  return all.filter(
    (header): header is [string, string] =>
      header[1] !== undefined && /^[\x21-\x7e]+$/.test(header[1]) && !headers.has(header[0]),
  )
}

export function isAmong(hosts: Hosts, host: string): boolean {
  return hosts === true || hosts.includes(host)
}

/** The part of undici's Dispatcher that `fetch` calls. */
interface Dispatcher {
  dispatch(o: { readonly origin: string | URL; readonly headers: Record<string, string> }, handler: unknown): boolean
}

/**
 * A dispatcher that takes `names` off requests to other hosts: `fetch` follows redirects by itself, with all headers.
 * Undefined where there is none to build on.
 */
export function redirectGuard(hosts: Hosts, names: readonly string[], given: unknown): unknown {
  const inner = (given ?? globalDispatcher()) as Dispatcher | undefined
  if (inner === undefined) return undefined
  const dispatch: Dispatcher['dispatch'] = (o, handler) => {
    if (isAmong(hosts, new URL(o.origin).host)) return inner.dispatch(o, handler)
    const headers = Object.fromEntries(Object.entries(o.headers).filter(([name]) => !names.includes(name)))
    return inner.dispatch({ ...o, headers }, handler)
  }
  return Object.create(inner, { dispatch: { value: dispatch } })
}

function globalDispatcher(): unknown {
  const shared = globalThis as unknown as Record<symbol, unknown>
  return shared[Symbol.for('undici.globalDispatcher.2')] ?? shared[Symbol.for('undici.globalDispatcher.1')]
}
