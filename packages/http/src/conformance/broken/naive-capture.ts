import type { ServerResponse } from 'node:http'
import type { Captured, Headers } from '../../exchange.ts'

/** How an answer is kept by who does not know better. */
export interface Naive {
  /** Chunks wait for the end; default: they leave as they come. */
  readonly buffers?: boolean
  /** A chunk as it is kept; default: its bytes. */
  readonly keep?: (chunk: string | Uint8Array, encoding: BufferEncoding | undefined) => Uint8Array
}

/** The usual patch of `write` and `end`: it holds `end` until `save` has settled, and knows no streams. */
export function naiveCapture(
  res: ServerResponse,
  save: (captured: Captured) => Promise<unknown>,
  { buffers = false, keep = toBytes }: Naive = {},
): void {
  const { write, end, destroy } = res
  const kept: Uint8Array[] = []
  const before = headersOf(res)
  res.write = (chunk: string | Uint8Array, ...args: unknown[]) => {
    const encoding = args.find((one) => typeof one === 'string') as BufferEncoding | undefined
    kept.push(keep(chunk, encoding))
    return buffers || write.call(res, toBytes(chunk, encoding), undefined as never)
  }
  res.end = (...args: unknown[]) => {
    const [chunk, encoding] = args.filter((one) => typeof one !== 'function') as [string | Uint8Array, BufferEncoding?]
    if (chunk) kept.push(keep(chunk, encoding))
    const body = Buffer.concat(kept)
    const last = buffers ? body : chunk ? toBytes(chunk, encoding) : undefined
    const response = { status: res.statusCode, headers: headersOf(res), body }
    void save({ kind: 'whole', response, before }).finally(() => end.call(res, last, undefined as never))
    return res
  }
  res.destroy = (error) => {
    if (!res.writableEnded && !res.destroyed) void save({ kind: 'abandoned' })
    return destroy.call(res, error)
  }
}

function toBytes(chunk: string | Uint8Array, encoding?: BufferEncoding): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

function headersOf(res: ServerResponse): Headers {
  return Object.entries(res.getHeaders()).flatMap(([name, value]) =>
    [value].flat().map((one) => [name, String(one)] as const),
  )
}
