import type { CaptureOptions, Exchange, Headers, StoredResponse } from '@keelson/http'
import { answerTap } from '@keelson/http/adapter'

const NO_BYTES = new Uint8Array(0)

/**
 * A web Response on its way: what is kept is saved before the newest chunk goes on. Resolves with what to send, once that
 * may leave.
 */
export function captureResponse(
  response: Response,
  [o, save]: [CaptureOptions, Parameters<Exchange['capture']>[1]],
  client: { before: Headers; isHead: boolean; isGone(): boolean; answered(other: StoredResponse): Response },
): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const tap = answerTap({
    ...o,
    save,
    before: client.before,
    isHead: client.isHead,
    isGone: client.isGone,
    replace: (other) => resolve(client.answered(other)),
    fail: reject,
  })
  tap.head(response.status, [...response.headers])
  if (response.body === null || client.isHead) {
    tap.end(NO_BYTES, () => {
      resolve(response)
      return true
    })
    return promise
  }

  let out: ReadableStreamDefaultController<Uint8Array> | undefined
  let wake = (): void => {}
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => void (out = controller),
    pull: () => wake(),
    // The client has left. The handler goes on: its answer is still kept.
    cancel() {
      out = undefined
      wake()
    },
  })
  const isFull = (): boolean => out !== undefined && out.desiredSize! <= 0
  let sent: Response | undefined
  const leave = (then: () => void): true => {
    resolve((sent ??= new Response(body, response)))
    then()
    return true
  }
  // Events are not kept: their head need not wait for the first of them.
  if (tap.phase !== 'keeping') tap.flush(() => leave(() => {}))

  async function pump(source: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of source) {
        tap.chunk(chunk, () => leave(() => out?.enqueue(chunk)))
        while (isFull()) await new Promise<void>((pulled) => (wake = pulled))
      }
      tap.end(NO_BYTES, () => leave(() => out?.close()))
    } catch (error) {
      tap.abandon()
      if (sent === undefined) reject(error)
      else out?.error(error)
    }
  }
  void pump(response.body)
  return promise
}
