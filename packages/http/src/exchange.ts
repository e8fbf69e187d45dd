import type { StoredResponse } from '@keelson/kernel'

/** One request and its answer, as an adapter shows them. Names of headers are in any case. */
export interface Exchange {
  readonly method: string
  /** The template, such as '/shipments/:id'; '(none)' before routing. Never a raw path: it becomes a label. */
  readonly route: string
  /** As the client asked, without the query. */
  readonly path: string
  readonly searchParams: URLSearchParams
  /** Of the socket. */
  readonly remoteAddress: string
  /** The framework's own request. */
  readonly raw: unknown
  /** Aborts when the client went away before the last byte. */
  readonly signal: AbortSignal
  readonly headersSent: boolean
  /** The lines of a request header, joined with ', '. */
  header(name: string): string | undefined
  /** Each line as received: two keys are an error, not a list. */
  headerLines(name: string): readonly string[]
  /** The body's bytes as received, also after a body parser ran; the same bytes on each call. */
  rawBody(): Promise<Uint8Array>
  setHeader(name: string, value: string | readonly string[]): void
  /** Settles when the bytes were handed to the socket. Nothing is written for a client that has gone. */
  send(response: StoredResponse): Promise<void>
  /** Calls `f` exactly once, when the answer is over. `bytes` are those on the wire, header block included. */
  onEnd(f: (end: { status: number; bytes: number; aborted: boolean }) => void): void
}
