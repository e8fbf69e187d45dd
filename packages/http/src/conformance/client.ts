import { connect, type Socket } from 'node:net'

type Lines = readonly (readonly [name: string, value: string])[]

/** A request, with bytes that no HTTP client would let through. */
export interface Given {
  readonly method?: string
  readonly path?: string
  readonly headers?: Lines
  readonly body?: string | Uint8Array
  /** Default: that of `body`. */
  readonly length?: number
}

/** An answer as it came over the wire, as far as it has come. */
export interface Answer {
  /** NaN before its first line is there. */
  readonly status: number
  readonly lines: Lines
  readonly body: Buffer
  /** The first line of this name. */
  header(name: string): string | undefined
  /** All lines of this name. */
  all(name: string): readonly string[]
  json(): Record<string, unknown>
}

/** A connection with one request on it. */
export interface Connection {
  readonly socket: Socket
  answer(): Answer
  /** Resolves with the answer as soon as `isSo` of it; rejects when the connection ends before. */
  until(isSo: (answer: Answer) => boolean): Promise<Answer>
  /** The whole answer, when the connection has ended. */
  whole(): Promise<Answer>
  /** Whether the answer has come to its own end, by its length or its last chunk. */
  isComplete(): boolean
  leave(): void
}

/** Sends a request that ends its connection; its body may come in parts, by the socket. */
export function open(url: string, given: Given = {}): Connection {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  const watchers = new Set<() => void>()
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    for (const watch of watchers) watch()
  })
  const { body = '', length = Buffer.byteLength(body) } = given
  socket.write(
    head(given, [['Connection', 'close'], ...(length < 0 ? [] : [['Content-Length', `${length}`] as const])]),
  )
  if (body.length > 0) socket.write(body)
  const answer = (): Answer => readAnswer(Buffer.concat(chunks))
  return {
    socket,
    answer,
    async until(isSo) {
      for (;;) {
        const come = new Promise<void>((resolve) => {
          watchers.add(function watch() {
            watchers.delete(watch)
            resolve()
          })
        })
        const soFar = answer()
        if (isSo(soFar)) return soFar
        const isOver = await Promise.race([come, ended.then(() => true as const)])
        if (isOver && !isSo(answer())) throw new Error(`the connection ended with ${soFar.body.length} bytes of a body`)
      }
    },
    async whole() {
      await ended
      return answer()
    },
    isComplete: () => lengthOf(Buffer.concat(chunks)) !== undefined,
    leave: () => void socket.destroy(),
  }
}

/** A connection that stays open for many requests, one after the other. Every answer on it needs a length. */
export function keepAlive(url: string): {
  send(given: Given): Promise<Answer>
  isClosed(): boolean
  close(): void
} {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let rest: Buffer = Buffer.alloc(0)
  let waiting: PromiseWithResolvers<Answer> | undefined
  socket.on('error', () => {})
  socket.on('close', () => waiting?.reject(new Error('the connection ended')))
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const bytes = lengthOf(rest)
    if (bytes === undefined) return
    const answer = readAnswer(rest.subarray(0, bytes))
    rest = rest.subarray(bytes)
    waiting?.resolve(answer)
  })
  return {
    send(given) {
      const { body = '' } = given
      waiting = Promise.withResolvers()
      waiting.promise.catch(() => {})
      socket.write(Buffer.concat([head(given, [['Content-Length', `${Buffer.byteLength(body)}`]]), Buffer.from(body)]))
      return waiting.promise
    },
    isClosed: () => socket.destroyed,
    close: () => void socket.destroy(),
  }
}

/** Of the first answer in these bytes, header block included; undefined before it is complete. */
function lengthOf(bytes: Buffer): number | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const block = bytes.toString('latin1', 0, end)
  if (/^HTTP\/1\.1 (204|304) /.test(block)) return end + 4
  const length = /\r\ncontent-length: *(\d+)/i.exec(block)?.[1]
  if (length !== undefined) return bytes.length < end + 4 + Number(length) ? undefined : end + 4 + Number(length)
  const last = bytes.indexOf('0\r\n\r\n', end + 2)
  return last < 0 ? undefined : last + 5
}

function head({ method = 'GET', path = '/', headers = [] }: Given, more: Lines): Buffer {
  const lines = [['Host', 'test'], ...more, ...headers]
  const text = [`${method} ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n')
  return Buffer.from(text, 'latin1')
}

function readAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...rest] = bytes.subarray(0, Math.max(0, end)).toString('latin1').split('\r\n')
  const lines = rest.map(
    (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const,
  )
  const all = (name: string): string[] =>
    lines.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
  const content = bytes.subarray(end < 0 ? bytes.length : end + 4)
  const body = all('transfer-encoding').includes('chunked') ? dechunk(content) : content
  return {
    status: first === '' ? Number.NaN : Number(first.split(' ')[1]),
    lines,
    body,
    all,
    header: (name) => all(name)[0],
    json: () => JSON.parse(body.toString()) as Record<string, unknown>,
  }
}

/** RFC 9112, section 7.1. Trailers are dropped. */
function dechunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, Math.max(line, at)), 16)
    if (line < 0 || !(size > 0)) return Buffer.concat(parts)
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}
