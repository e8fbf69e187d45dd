import type { Captured, Exchange, Headers, StoredResponse } from '@keelson/http'
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
export interface TestExchange extends Exchange {
  readonly answerHeaders: Record<string, unknown>
  readonly sent: StoredResponse[]
  readonly isCaptured: boolean
  /** What the handler answered, to whoever captures: resolves with what is sent in its place. */
  answered(captured: Captured): Promise<StoredResponse | undefined>
  /** The header block is about to leave. */
  headLeaves(status: number, headers: Headers): void
  /** The client goes away. */
  leave(): void
}

/** A request with an answer to come. */
export function exchange(given: Given = {}): TestExchange {
  const { method = 'POST', path = '/orders', query = '', headers = [], body = '', raw } = given
  const lines = (name: string): string[] =>
    headers.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
  const answerHeaders: Record<string, unknown> = {}
  const sent: StoredResponse[] = []
  const heads: Parameters<Exchange['onHead']>[0][] = []
  const client = new AbortController()
  let save: Parameters<Exchange['capture']>[1] | undefined
  return {
    method,
    path,
    route: path,
    raw,
    searchParams: new URLSearchParams(query),
    remoteAddress: '127.0.0.1',
    signal: client.signal,
    headersSent: false,
    header: (name) => (lines(name).length === 0 ? undefined : lines(name).join(', ')),
    headerLines: lines,
    hideHeader: () => {},
    rawBody: async () => Buffer.from(body),
    setHeader: (name, value) => void (answerHeaders[name.toLowerCase()] = value),
    send: async (response) => void sent.push(response),
    onHead: (f) => void heads.push(f),
    capture: (_, f) => void (save = f),
    onEnd(f) {
      const report = (): void => f({ status: 0, bytes: 0, aborted: true })
      if (client.signal.aborted) report()
      else client.signal.addEventListener('abort', report)
    },
    answerHeaders,
    sent,
    get isCaptured() {
      return save !== undefined
    },
    answered: (captured) => save!(captured),
    headLeaves: (status, head) => heads.forEach((f) => f(status, head)),
    leave: () => client.abort(),
  }
}

/** The members of a problem. */
export function problemOf(response: StoredResponse): Record<string, unknown> {
  return JSON.parse(Buffer.from(response.body).toString()) as Record<string, unknown>
}

export function headerOf(response: StoredResponse, name: string): string | undefined {
  return response.headers.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1]
}

/** A logger that keeps its error lines, and what its warnings say. */
export function recordingLogger(): Logger & { errors: Record<string, unknown>[]; warnings: string[] } {
  const errors: Record<string, unknown>[] = []
  const warnings: string[] = []
  const nothing = (): void => {}
  return {
    debug: nothing,
    info: nothing,
    warn: (_, message) => void warnings.push(message),
    error: (fields) => void errors.push({ ...fields }),
    errors,
    warnings,
  }
}
