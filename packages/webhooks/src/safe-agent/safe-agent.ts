import { Agent, type buildConnector, type Dispatcher } from 'undici'
import { createDialer } from './dialer.ts'
import { checkSafeAgent, type CheckedSafeAgent, type SafeAgentOptions } from './options.ts'

/**
 * A connector of undici, for an Agent, Pool or Client of your own (with `allowH2: false`). Fails with URL_REFUSED (the
 * reason in `details.reason`) for what may not be dialled, and with a `DialError` when a connection cannot be made.
 * `maxSocketsPerOrigin` is the Agent's business.
 * @throws OPTION_INVALID
 */
export function safeConnector(o?: SafeAgentOptions): buildConnector.connector {
  return connectorOf(checkSafeAgent('safeConnector', o))
}

/**
 * A dispatcher of undici that dials only what {@link SafeAgentOptions} allow, by default the public internet. Redirects
 * that a caller follows through it, are judged as the first URL is. HTTP/1.1; pools of origins that nobody uses are gone
 * with their last socket.
 * @throws OPTION_INVALID
 */
export function safeAgent(o?: SafeAgentOptions): Dispatcher {
  const options = checkSafeAgent('safeAgent', o)
  return new Agent({ connect: connectorOf(options), connections: options.maxSocketsPerOrigin, allowH2: false })
}

function connectorOf(options: CheckedSafeAgent): buildConnector.connector {
  const dial = createDialer(options)
  const never = new AbortController().signal
  return (target, callback) => {
    dial(target, never).then(
      ({ socket }) => callback(null, socket),
      (error: Error) => callback(error, null),
    )
  }
}
