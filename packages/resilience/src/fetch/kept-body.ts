import { types } from 'node:util'
import { multipart } from './multipart.ts'

/** A body that can be sent again, as it was when it was given. */
export interface KeptBody {
  readonly body: string | Blob | Uint8Array<ArrayBuffer>
  /** The content type that belongs to it, where `fetch` would not find it. */
  readonly type?: string
}

/** Undefined for a stream, and for whatever else can be read only once. */
export function keptBody(body: unknown): KeptBody | undefined {
  if (typeof body === 'string' || body instanceof Blob) return { body }
  if (body instanceof FormData) return multipart(body)
  if (body instanceof URLSearchParams)
    return { body: String(body), type: 'application/x-www-form-urlencoded;charset=UTF-8' }
  if (ArrayBuffer.isView(body)) return { body: new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice() }
  if (types.isAnyArrayBuffer(body)) return { body: new Uint8Array(body).slice() }
  return undefined
}

/** The same of a Request, whose body is used by that. */
export async function keptBodyOf(request: Request): Promise<KeptBody | undefined> {
  return isFromStream(request) ? undefined : { body: new Uint8Array(await request.arrayBuffer()) }
}

/**
 * A Request does not show what its body was made of, but one made of a stream must not become `no-cors` (Fetch, the
 * constructor of Request: "body's source is null").
 */
function isFromStream(request: Request): boolean {
  const copy = request.clone()
  let probe: Request | undefined
  try {
    probe = new Request(copy, { mode: 'no-cors', method: 'POST' })
  } catch {}
  void (probe ?? copy).body?.cancel().catch(() => {})
  return probe === undefined
}
