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
  readonly route?: string
  readonly remoteAddress?: string
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
  /** The answer is over. */
  end(status: number): void
}

/** A request with an answer to come. */
export function exchange(given: Given = {}): TestExchange {
  const { method = 'POST', path = '/orders', query = '', headers = [], body = '', raw } = given
  const { route = path, remoteAddress = '127.0.0.1' } = given
  const lines = (name: string): string[] =>
    headers.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
  const answerHeaders: Record<string, unknown> = {}
  const sent: StoredResponse[] = []
  const heads: Parameters<Exchange['onHead']>[0][] = []
  const client = new AbortController()
  const ends: Parameters<Exchange['onEnd']>[0][] = []
  let over: Parameters<Parameters<Exchange['onEnd']>[0]>[0] | undefined
  const end = (how: NonNullable<typeof over>): void => {
    if (over !== undefined) return
    over = how
    for (const f of ends) f(how)
  }
  let save: Parameters<Exchange['capture']>[1] | undefined
  return {
    method,
    path,
    query,
    route,
    raw,
    searchParams: new URLSearchParams(query),
    remoteAddress,
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
    onEnd: (f) => (over === undefined ? void ends.push(f) : f(over)),
    end: (status) => end({ status, bytes: 100, aborted: false }),
    answerHeaders,
    sent,
    get isCaptured() {
      return save !== undefined
    },
    answered: (captured) => save!(captured),
    headLeaves: (status, head) => heads.forEach((f) => f(status, head)),
    leave() {
      client.abort()
      end({ status: 0, bytes: 0, aborted: true })
    },
  }
}

/** The members of a problem. */
export function problemOf(response: StoredResponse): Record<string, unknown> {
  return JSON.parse(Buffer.from(response.body).toString()) as Record<string, unknown>
}

export function headerOf(response: StoredResponse, name: string): string | undefined {
  return response.headers.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1]
}

/** A line as it was logged. */
export interface Line {
  readonly level: keyof Logger
  readonly message: string
  readonly fields: Record<string, unknown>
}

/** A logger that keeps its lines; errors and what warnings say once more by themselves. */
export function recordingLogger(): Logger & { lines: Line[]; errors: Record<string, unknown>[]; warnings: string[] } {
  const lines: Line[] = []
  const errors: Record<string, unknown>[] = []
  const warnings: string[] = []
  const keep =
    (level: keyof Logger) =>
    (fields: object, message: string): void => {
      lines.push({ level, message, fields: structuredClone({ ...fields, err: undefined }) })
      if (level === 'error') errors.push({ ...fields })
      if (level === 'warn') warnings.push(message)
    }
  return {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    lines,
    errors,
    warnings,
  }
}
