import type { Clock } from '@keelson/kernel/core'
import type { PullRequest, PullResponse, PushRequest, PushResponse } from '../wire.ts'
import { SyncClientError } from './error.ts'

/** What `fetch` takes as headers. */
export type HeadersLike = RequestInit['headers']

/** An answer, and how long it took. */
interface Answer<T> {
  readonly body: T
  readonly tookMs: number
}

/** The server cannot go on from here: what to do about it, beside trying again. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly remedy: 'start-over' | 'new-name' | 'say-less' | 'send-fewer'

  constructor(remedy: Refused['remedy'], cause: SyncClientError) {
    super(cause.message, { cause })
    this.remedy = remedy
  }
}

/** What is said to the server. */
export interface Transport {
  push(request: PushRequest, signal: AbortSignal): Promise<Answer<PushResponse>>
  pull(request: PullRequest, signal: AbortSignal): Promise<Answer<PullResponse>>
}

/** No answer of a server that lives takes as long, beside what it waits on purpose. */
const TIMEOUT_MS = 30_000

const REMEDIES: Readonly<Record<string, Refused['remedy']>> = {
  'cursor-expired': 'start-over',
  'cursor-invalid': 'start-over',
  'epoch-changed': 'start-over',
  'schema-changed': 'start-over',
  'client-foreign': 'new-name',
  'body-too-large': 'say-less',
  // It may take fewer operations at a time.
  'request-invalid': 'send-fewer',
}

export function createTransport(o: {
  readonly url: string
  readonly fetch: typeof fetch
  readonly headers: () => HeadersLike | Promise<HeadersLike>
  readonly clock: Pick<Clock, 'monotonic'>
}): Transport {
  async function ask<T>(
    path: string,
    request: object,
    waitMs: number,
    isAnswer: (body: T) => boolean,
    signal: AbortSignal,
  ): Promise<Answer<T>> {
    const limit = AbortSignal.timeout(TIMEOUT_MS + waitMs)
    let response: Response | undefined
    let body: unknown
    let beganMs: number
    try {
      const headers = new Headers(await o.headers())
      headers.set('content-type', 'application/json')
      beganMs = o.clock.monotonic()
      response = await o.fetch(`${o.url}/${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(request),
        signal: AbortSignal.any([signal, limit]),
      })
      body = await response.json()
    } catch (cause) {
      if (response === undefined || response.ok)
        throw new SyncClientError('OFFLINE', 'sync: the server cannot be reached', { cause })
      throw failureOf(response, undefined)
    }
    if (!response.ok) throw failureOf(response, body)
    // Somebody between may answer in the server's place.
    if (!isAnswer(body as T)) throw new SyncClientError('OFFLINE', 'sync: what answers is no sync server')
    return { body: body as T, tookMs: o.clock.monotonic() - beganMs }
  }
  return {
    push: (request, signal) =>
      ask<PushResponse>('push', request, 0, (body) => body?.results?.length === request.ops.length, signal),
    pull: (request, signal) =>
      ask<PullResponse>('pull', request, request.waitMs ?? 0, (body) => typeof body?.cursor === 'string', signal),
  }
}

function failureOf({ status, headers }: Response, body: unknown): Error {
  const { code = '', detail = '' } = (body ?? {}) as { code?: string; detail?: string }
  const text = `sync: the server answers ${status} ${code} ${detail}`.trim()
  const retryAfter = retryAfterOf(headers)
  const error = new SyncClientError(codeOf(status), text, retryAfter === undefined ? {} : { retryAfter })
  const remedy = REMEDIES[code] ?? (status === 413 ? 'say-less' : undefined)
  return remedy === undefined ? error : new Refused(remedy, error)
}

/** In ms, of either form (RFC 9110, 10.2.3). A date counts from the answer's own: the clock of a device may be wrong. */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const afterMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.parse(headers.get('date') ?? '')
  return afterMs >= 0 && afterMs < Infinity ? afterMs : undefined
}

function codeOf(status: number): 'OFFLINE' | 'AUTH' | 'UPGRADE' {
  if (status === 401 || status === 403) return 'AUTH'
  return [400, 405, 410, 415, 422].includes(status) ? 'UPGRADE' : 'OFFLINE'
}
