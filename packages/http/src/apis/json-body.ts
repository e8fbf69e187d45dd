import { problem } from '../problem.ts'

/** Far more than an endpoint has. */
const MAX_BYTES = 262_144

/**
 * The object that a client sent as JSON; an empty one for no body.
 * @throws HttpProblem 400 'input-invalid' (or `code`), 413 'body-too-large', 415 'unsupported-media-type'
 */
export async function jsonBody(
  request: Request,
  { maxBytes = MAX_BYTES, code = 'input-invalid' }: { readonly maxBytes?: number; readonly code?: string } = {},
): Promise<Record<string, unknown>> {
  const bytes = await bytesOf(request, maxBytes)
  if (bytes.length === 0) return {}
  // A form of another site can send anything but this.
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/json *(;|$)/i.test(type)) {
    throw problem(415, 'unsupported-media-type', { detail: 'the body must be application/json' })
  }
  const body = parsed(bytes)
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  throw problem(400, code, { detail: 'the body must be an object of JSON, in UTF-8' })
}

/**
 * The fields of a form that a client sent; none for no body.
 * @throws HttpProblem 413 'body-too-large', 415 'unsupported-media-type'
 */
export async function formBody(request: Request): Promise<URLSearchParams> {
  const bytes = await bytesOf(request, MAX_BYTES)
  const type = request.headers.get('content-type') ?? ''
  if (bytes.length > 0 && !/^application\/x-www-form-urlencoded *(;|$)/i.test(type)) {
    throw problem(415, 'unsupported-media-type', { detail: 'the body must be a form' })
  }
  return new URLSearchParams(Buffer.from(bytes).toString())
}

async function bytesOf({ body }: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.length
    if (length > maxBytes) throw problem(413, 'body-too-large', { detail: `at most ${maxBytes} bytes` })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    return undefined
  }
}
