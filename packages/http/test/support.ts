import type { Exchange, StoredResponse } from '@keelson/http'
import type { Logger } from '@keelson/kernel'

/** A request that no framework made. */
export interface Given {
  readonly method?: string
  readonly path?: string
  readonly query?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string | Uint8Array
  readonly raw?: unknown
}

/** An Exchange in memory; what is set on the answer lands in `answerHeaders`. */
export function exchange(
  given: Given = {},
): Exchange & { answerHeaders: Record<string, unknown>; sent: StoredResponse[] } {
  const { method = 'POST', path = '/orders', query = '', headers = [], body = '', raw } = given
  const lines = (name: string): string[] =>
    headers.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
  const answerHeaders: Record<string, unknown> = {}
  const sent: StoredResponse[] = []
  return {
    method,
    path,
    route: path,
    raw,
    searchParams: new URLSearchParams(query),
    remoteAddress: '127.0.0.1',
    signal: new AbortController().signal,
    headersSent: false,
    header: (name) => (lines(name).length === 0 ? undefined : lines(name).join(', ')),
    headerLines: lines,
    rawBody: async () => Buffer.from(body),
    setHeader: (name, value) => void (answerHeaders[name.toLowerCase()] = value),
    send: async (response) => void sent.push(response),
    onEnd: () => {},
    answerHeaders,
    sent,
  }
}

/** The members of a problem. */
export function problemOf(response: StoredResponse): Record<string, unknown> {
  return JSON.parse(Buffer.from(response.body).toString()) as Record<string, unknown>
}

export function headerOf(response: StoredResponse, name: string): string | undefined {
  return response.headers.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1]
}

/** A logger that keeps its error lines. */
export function recordingLogger(): Logger & { errors: Record<string, unknown>[] } {
  const errors: Record<string, unknown>[] = []
  const nothing = (): void => {}
  return { debug: nothing, info: nothing, warn: nothing, error: (fields) => void errors.push({ ...fields }), errors }
}
