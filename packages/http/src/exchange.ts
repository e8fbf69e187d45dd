import type { StoredResponse } from '@keelson/kernel'

/** Header lines in order, with their case and repeats. */
export type Headers = StoredResponse['headers']

/** How much of an answer is kept, and what of it waits. */
export interface CaptureOptions {
  /** Bytes of the body; of a larger one nothing is kept. */
  readonly maxBytes: number
  readonly hold: 'last' | 'all'
}

/** An answer as its handler made it. */
export type Captured =
  | {
      readonly kind: 'whole'
      readonly response: StoredResponse
      /** The headers that stood there when `capture` was called: those of middleware, not the handler's. */
      readonly before: Headers
    }
  /** The body is too large, or has no end by its nature (`text/event-stream`, an upgrade): it passes unkept. */
  | { readonly kind: 'part'; readonly status: number; readonly headers: Headers; readonly why: 'too-large' | 'stream' }
  /** The handler broke its answer off; `hasBegun: false` says that it was never called, and another answer goes out. */
  | { readonly kind: 'abandoned'; readonly hasBegun?: boolean }

/**
 * One request and its answer, as an adapter shows them. Names of headers are in any case. An object of its own for each
 * request, not frozen: http keeps what it knows of the request on it.
 */
export interface Exchange {
  readonly method: string
  /** The template, such as '/shipments/:id'; '(none)' before routing. Never a raw path: it becomes a label. */
  readonly route: string
  /** As the client asked, without the query. */
  readonly path: string
  /** As the client asked, behind the '?'; '' without one. */
  readonly query: string
  readonly searchParams: URLSearchParams
  /** Of the socket, also when its client has left; 'unix' by a Unix socket, '' where nobody knows. */
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
  /** From now on the framework and its handlers do not see this request header; `header` still does. */
  hideHeader(name: string): void
  /** The body's bytes as received, also after a body parser ran; the same bytes on each call. */
  rawBody(): Promise<Uint8Array>
  setHeader(name: string, value: string | readonly string[]): void
  /**
   * Calls `f` once, when the header block is about to leave: `setHeader` works for the last time. The headers may be
   * left out for an `f` that declares no second parameter.
   */
  onHead(f: (status: number, headers: Headers) => void): void
  /**
   * Keeps what the handler answers, byte for byte, and lets its last byte go only when `save` has settled: the newest
   * bytes are held until newer ones come (`hold: 'last'`), or everything with the header block is held up to `maxBytes`
   * (`hold: 'all'`). What `save` resolves with is sent in its place, as long as nothing has left; if it rejects, the
   * answer goes out as it is.
   * @throws HttpError CAPTURE_TWICE
   */
  capture(o: CaptureOptions, save: (captured: Captured) => Promise<StoredResponse | undefined>): void
  /** Settles when the bytes were handed to the socket. Nothing is written for a client that has gone. */
  send(response: StoredResponse): Promise<void>
  /** Calls `f` exactly once, when the answer is over. `bytes` are those on the wire, header block included. */
  onEnd(f: (end: { status: number; bytes: number; aborted: boolean }) => void): void
}
