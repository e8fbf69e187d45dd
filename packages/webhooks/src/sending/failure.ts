import { isKeelsonError } from '@keelson/kernel'
import { DialError, type DialStep } from '../safe-agent/dial-error.ts'
import type { SendOutcome } from '../delivery.ts'

const OF_STEP = { dns: 'dns', connect: 'connect', tls: 'tls', denied: 'proxy' } as const satisfies Record<
  DialStep,
  SendOutcome
>

/** What an answer was that is none, or was not whole when its end came: the words of undici and its parser. */
const PROTOCOL =
  /^(HTTPParserError|UND_ERR_(HEADERS_OVERFLOW|RES_.*|INVALID_ARG|NOT_SUPPORTED)|bad response|bad upgrade)$/

/** How an attempt failed. `error` is a code or a reason of ours: no address, no text of the other side. */
export function failureOf(error: unknown): { readonly outcome: SendOutcome; readonly error: string } {
  if (error instanceof DialError) return { outcome: OF_STEP[error.step], error: error.code }
  if (isKeelsonError(error, 'URL_REFUSED'))
    return { outcome: 'refused', error: (error.details as { reason: string }).reason }
  const { code, name, message } = error as Error & { readonly code?: unknown }
  const word = typeof code === 'string' ? code : name
  if (PROTOCOL.test(word) || PROTOCOL.test(message)) return { outcome: 'protocol', error: word }
  return { outcome: /^ERR_(SSL|TLS)/.test(word) ? 'tls' : 'reset', error: word }
}
