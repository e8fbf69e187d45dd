import { parseRetryAfter } from '@keelson/kernel/retry-after'
import { DeliveryFailure } from './delivery-failure.ts'
import type { Fetch } from './sink-options.ts'

/** What came back for a batch. */
export type Posted =
  | { readonly kind: 'answered'; readonly status: number; readonly text: string }
  /** Nothing goes until somebody mends it. */
  | { readonly kind: 'halt'; readonly reason: string }

/** The batch is at fault, or an entry in it: halves of it tell which. */
const TOO_MUCH = 413
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const SHOWN = 200

/**
 * Sends a batch. 401, 403, 404 and redirects halt; 2xx and 400 are for the sink to read; all else is a failure of the
 * whole request. @throws DeliveryFailure
 */
export async function post(o: {
  readonly url: URL
  readonly method?: 'POST' | 'PUT' | 'GET'
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string | undefined
  readonly signal: AbortSignal
  readonly fetch: Fetch | undefined
}): Promise<Posted> {
  const { url, method = 'POST', headers, body, signal, fetch: send = fetch } = o
  let response: Response
  let text: string
  try {
    const given = body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }
    response = await send(url, { method, headers, signal, redirect: 'manual', ...given })
    text = await readText(response)
  } catch (cause) {
    throw new DeliveryFailure(`${url.host} does not answer: ${reasonOf(cause)}`, { cause })
  }
  const { status } = response
  const said = `${url.host} answered ${status}${text === '' ? '' : `: ${text.slice(0, SHOWN)}`}`
  if (status === 401 || status === 403 || status === 404 || (status >= 300 && status < 400)) {
    return { kind: 'halt', reason: said }
  }
  if ((status >= 200 && status < 300) || status === 400) return { kind: 'answered', status, text }
  const retryAfter = parseRetryAfter(response.headers.get('retry-after'), Date.now())
  const isOurs = status >= 400 && status < 500 && status !== 408 && status !== 429
  throw new DeliveryFailure(said, {
    ...(isOurs ? { status: TOO_MUCH } : {}),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

/** The batch as a whole is refused: halves of it are tried, and one alone is a dead letter. */
export function refused(reason: string): DeliveryFailure {
  return new DeliveryFailure(reason.slice(0, SHOWN), { status: TOO_MUCH })
}

async function readText(response: Response): Promise<string> {
  let bytes = 0
  const parts: Uint8Array[] = []
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/** What `fetch` knows is in the cause. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { message?: string; code?: string }; message?: string }
  return cause?.code ?? cause?.message ?? message ?? String(error)
}
