import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel'

type Tracing = TracingChannel<unknown, object>

/** Names are constants of the code; one that is made up at run time cannot fill the memory. */
const MAX_CHANNELS = 200
const channels = new Map<string, Tracing>()

/**
 * Runs `fn` and tells whoever listens to the TracingChannel `keelson:<channel>`: start, end, asyncStart, asyncEnd and
 * error, as `tracePromise` of node:diagnostics_channel does, with `result` or `error` set in the end. Unheard, it costs
 * one branch, and `details` is not called.
 *
 * `details` answers a new object, which is the message itself: the operation may write its outcome there. It holds no
 * body and no text of a key. The answer or error of `fn` comes out as it is; a throw becomes a rejection.
 *
 * ```ts
 * traced('cache:read', () => ({ cache: name }), () => store.read(ref)) // keelson:cache:read
 * ```
 */
export function traced<T>(channel: `${string}:${string}`, details: () => object, fn: () => Promise<T>): Promise<T> {
  const tracing = channels.get(channel) ?? open(channel)
  if (tracing.hasSubscribers) return tracing.tracePromise(async () => fn(), messageOf(details))
  try {
    return fn()
  } catch (error) {
    return Promise.reject(error)
  }
}

function open(channel: string): Tracing {
  const tracing: Tracing = tracingChannel(`keelson:${channel}`)
  if (channels.size < MAX_CHANNELS) channels.set(channel, tracing)
  return tracing
}

/** Another's listener must not break the work, so neither may what is told to it. */
function messageOf(details: () => object): object {
  try {
    const message = details()
    return Object.isExtensible(message) ? message : { ...message }
  } catch {
    return {}
  }
}
