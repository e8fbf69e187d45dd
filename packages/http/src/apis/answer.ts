/** An answer in JSON; what is undefined is left out. */
export function json(body: unknown, status = 200): Response {
  return textAnswer(
    JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    'application/json',
    status,
  )
}

/** An answer of known length. */
export function textAnswer(text: string, contentType: string, status = 200): Response {
  const bytes = new TextEncoder().encode(text)
  return new Response(bytes, {
    status,
    headers: { 'Content-Type': contentType, 'Content-Length': String(bytes.byteLength) },
  })
}

/** What may be kept, and how. */
const KEPT = new WeakMap<Response, string>()

/** The same answer, which clients may keep, as no other. */
export function kept(response: Response, cacheControl: string): Response {
  KEPT.set(response, cacheControl)
  return response
}

/** What every answer of a management API says, and HEAD without a body. The headers of a given Response may be frozen. */
export function sealed(request: Request, response: Response): Response {
  const { status, statusText, headers, body } = response
  const all = new Headers(headers)
  all.set('Cache-Control', KEPT.get(response) ?? 'no-store')
  all.set('X-Content-Type-Options', 'nosniff')
  const withoutBody = request.method === 'HEAD'
  if (withoutBody) void body?.cancel()
  return new Response(withoutBody ? null : body, { status, statusText, headers: all })
}
