/**
 * The same answer with another body. A Response that is made has no url and was never redirected, so these are set on it,
 * and on its clones; it is a true Response, whose every reader reads `stream`.
 */
export function withBody(response: Response, stream: ReadableStream<Uint8Array>): Response {
  const { url, type, redirected, status, statusText, ok } = response
  // Servers send statuses that none can be made with.
  const init = { status: status >= 200 && status <= 599 ? status : 200, statusText, headers: response.headers }
  return shownAs(new Response(stream, init), { url, type, redirected, status, ok })
}

type Shown = Pick<Response, 'url' | 'type' | 'redirected' | 'status' | 'ok'>

function shownAs(response: Response, shown: Shown): Response {
  const clone = (): Response => shownAs(Response.prototype.clone.call(response), shown)
  for (const [name, value] of Object.entries({ ...shown, clone })) {
    Object.defineProperty(response, name, { value, configurable: true })
  }
  return response
}
