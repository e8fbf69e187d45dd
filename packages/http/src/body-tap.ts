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
  let chunks: Uint8Array[] = []
  let total = 0
  let result: { bytes: Uint8Array } | { error: Error } | undefined
  let waiting: PromiseWithResolvers<Uint8Array> | undefined

  function settle(outcome: { bytes: Uint8Array } | { error: Error }): void {
    if (result !== undefined) return
    result = outcome
    chunks = []
    if ('bytes' in outcome) waiting?.resolve(outcome.bytes)
    else waiting?.reject(outcome.error)
  }

  return {
    chunk(bytes) {
      if (result !== undefined) return
      total += bytes.length
      if (total <= maxBytes) chunks.push(bytes)
      else settle({ error: tooLarge(maxBytes) })
    },
    end: () => settle({ bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) }),
    abort: () => settle({ error: new HttpProblem(400, 'body-incomplete', { detail: 'the body ended early' }) }),
    miss: () => settle({ error: rawBodyUnavailable() }),
    get wanted() {
      return waiting !== undefined && result === undefined
    },
    bytes() {
      if (result === undefined) return (waiting ??= Promise.withResolvers()).promise
      return 'bytes' in result ? Promise.resolve(result.bytes) : Promise.reject(result.error)
    },
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
