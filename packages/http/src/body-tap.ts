import { HttpError } from './error.ts'
import { HttpProblem } from './problem.ts'

/** Keeps the bytes of a request body while they pass to whoever reads them. For adapters. */
export interface BodyTap {
  /** Bytes on their way to the framework; they are kept by reference. */
  chunk(bytes: Uint8Array): void
  /** The body is complete. */
  end(): void
  /** The client left before the body was complete. */
  abort(): void
  /** Bytes passed before anybody listened. */
  miss(): void
  /** True while somebody waits for the bytes. */
  readonly wanted: boolean
  /**
   * The whole body.
   * @throws HttpProblem 413 'body-too-large', 400 'body-incomplete'; HttpError RAW_BODY_UNAVAILABLE
   */
  bytes(): Promise<Uint8Array>
}

/** A tap that keeps at most `maxBytes`: a longer body costs no memory, it is only refused to who wants its bytes. */
export function bodyTap(maxBytes: number): BodyTap {
  return new KeepingTap(maxBytes)
}

type Result = { readonly bytes: Uint8Array } | { readonly error: Error }

/** A class: one is made for each request, and most are never asked. */
class KeepingTap implements BodyTap {
  readonly #maxBytes: number
  #chunks: Uint8Array[] = []
  #total = 0
  #result: Result | undefined
  #waiting: PromiseWithResolvers<Uint8Array> | undefined

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get wanted(): boolean {
    return this.#waiting !== undefined && this.#result === undefined
  }

  chunk(bytes: Uint8Array): void {
    if (this.#result !== undefined) return
    this.#total += bytes.length
    if (this.#total <= this.#maxBytes) this.#chunks.push(bytes)
    else this.#settle({ error: tooLarge(this.#maxBytes) })
  }

  end(): void {
    if (this.#result !== undefined) return
    this.#settle({ bytes: this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks) })
  }

  abort(): void {
    if (this.#result !== undefined) return
    this.#settle({ error: new HttpProblem(400, 'body-incomplete', { detail: 'the body ended early' }) })
  }

  miss(): void {
    if (this.#result === undefined) this.#settle({ error: rawBodyUnavailable() })
  }

  bytes(): Promise<Uint8Array> {
    const result = this.#result
    if (result === undefined) return (this.#waiting ??= Promise.withResolvers()).promise
    return 'bytes' in result ? Promise.resolve(result.bytes) : Promise.reject(result.error)
  }

  #settle(result: Result): void {
    this.#result = result
    this.#chunks = []
    if ('bytes' in result) this.#waiting?.resolve(result.bytes)
    else this.#waiting?.reject(result.error)
  }
}

function tooLarge(maxBytes: number): HttpProblem {
  return new HttpProblem(413, 'body-too-large', { detail: `the body may have at most ${maxBytes} bytes here` })
}

/** The request came past http before http saw it. */
export function rawBodyUnavailable(): HttpError {
  return new HttpError(
    'RAW_BODY_UNAVAILABLE',
    "the request was not seen from its beginning: mount the adapter's context first of all, before body parsers " +
      'and anything asynchronous, such as a session (Express: app.use(k.context(), express.json()))',
  )
}
