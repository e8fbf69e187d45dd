import { createGzip, type Gzip } from 'node:zlib'
import type { RequestHandler } from 'express'

/** Compression in the way of the package of that name: it patches writeHead, write, end and on, and writes later. */
export const zipping: RequestHandler = (_req, res, next) => {
  const { writeHead, write, end, on } = res
  const listeners: [string, () => void][] = []
  let gzip: Gzip | undefined
  let hasEnded = false

  res.writeHead = ((...args: Parameters<typeof writeHead>) => {
    if (gzip === undefined) {
      gzip = createGzip()
      for (const [event, listener] of listeners) gzip.on(event, listener)
      res.removeHeader('Content-Length')
      res.setHeader('Content-Encoding', 'gzip')
      gzip.on('data', (chunk) => write.call(res, chunk, undefined as never) || gzip!.pause())
      gzip.on('end', () => end.call(res, undefined as never, undefined as never))
      on.call(res, 'drain', () => gzip!.resume())
    }
    return writeHead.apply(res, args)
  }) as typeof writeHead

  res.write = ((chunk: string | Buffer, encoding?: BufferEncoding) => {
    if (hasEnded) return false
    if (!res.headersSent) res.writeHead(res.statusCode)
    return gzip!.write(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
  }) as typeof write

  res.end = ((chunk?: string | Buffer, encoding?: BufferEncoding) => {
    if (hasEnded) return res
    if (!res.headersSent) res.writeHead(res.statusCode)
    hasEnded = true
    if (chunk) gzip!.end(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
    else gzip!.end()
    return res
  }) as typeof end

  res.on = ((event: string, listener: () => void) => {
    if (event !== 'drain') return on.call(res, event, listener)
    if (gzip === undefined) listeners.push([event, listener])
    else gzip.on(event, listener)
    return res
  }) as typeof on
  next()
}
