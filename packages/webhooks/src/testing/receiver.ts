import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkOptions, opt } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import { standard } from '../verify/standard.ts'
import type { Verified, Verifier } from '../verify/verifier.ts'
import type { Answer, AnswerScript } from './answer.ts'

/** What `startReceiver` takes. */
export interface ReceiverOptions {
  /** Default 0: any free port. */
  readonly port?: number
  /** Default '127.0.0.1'. */
  readonly host?: string
  /** Ms an idle connection is kept open; default 5,000. */
  readonly keepAliveMs?: number
  /** Secrets (`whsec_`) to verify with: what none of them signed is kept and answered 401, whatever was said. */
  readonly secrets?: readonly string[]
}

/** A request that was received whole. */
export interface ReceivedRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** The raw bytes: what a verifier takes. */
  readonly body: Uint8Array
  /** When its last byte came. */
  readonly at: Date
  /** What the signature proves, with the `secrets` of the receiver; null without them, and when it is not good. */
  readonly verified: Verified | null
  /** The body parsed. @throws SyntaxError */
  json(): any
}

/** A local receiver of webhooks, for tests. */
export interface Receiver {
  /** `http://127.0.0.1:<port>`, without a slash behind. */
  readonly url: string
  /** All requests so far, in the order in which they were complete. */
  readonly received: readonly ReceivedRequest[]
  /** Connections that are open now. */
  readonly connections: number
  /**
   * What is answered from now on: by default 204. With `path` to requests of that path only (without a query), which
   * beats answers to all. With `times` so often, then what was said before; of several the last one said comes first.
   */
  answer(answer: Answer, o?: { readonly path?: string; readonly times?: number }): void
  /** The first request, of those so far and those to come, that fits and was not given by `next` before. */
  next(fits?: (request: ReceivedRequest) => boolean): Promise<ReceivedRequest>
  /** Resolves with all requests as soon as there are `count` of them. */
  waitFor(count: number): Promise<readonly ReceivedRequest[]>
  /** Forgets what was received. */
  clear(): void
  /** Cuts all connections; who waits for a request is rejected. */
  close(): Promise<void>
}

interface Rule {
  readonly answer: Answer
  readonly path: string | undefined
  times: number
}

interface Waiting {
  /** True when it has got what it waits for. */
  look(): boolean
  reject(reason: Error): void
}

const SPEC = {
  port: opt.integer(0, { max: 65_535 }),
  host: opt.string('127.0.0.1'),
  keepAliveMs: opt.duration(5_000),
  secrets: opt.custom<readonly string[]>('an array of secrets', Array.isArray),
}

/**
 * Starts a receiver on this machine: it keeps what it gets and answers as it is told; a function of yours that throws answers 500. A sender needs
 * `network: { allow: ['127.0.0.1/32'], httpsOnly: false }` to reach it.
 * @throws OPTION_INVALID
 */
export async function startReceiver(o: ReceiverOptions = {}): Promise<Receiver> {
  const { port, host, keepAliveMs, secrets } = checkOptions('startReceiver', o, SPEC, optionFailure)
  const received: ReceivedRequest[] = []
  const taken = new WeakSet<ReceivedRequest>()
  const rules: Rule[] = []
  const waiting = new Set<Waiting>()
  const closing = new AbortController()
  const verifier = secrets === undefined ? undefined : standard({ secrets })
  let connections = 0

  const server = createServer((req, res) => void serve(req, res).catch(() => res.destroy()))
  server.keepAliveTimeout = keepAliveMs
  server.on('connection', (socket) => {
    connections++
    socket.once('close', () => connections--)
  })
  server.listen(port, host)
  await once(server, 'listening')

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const raw = await read(req)
    const checked = verifier === undefined ? null : verify(verifier, raw)
    const isRefused = checked !== null && 'code' in checked
    const request: ReceivedRequest = { ...raw, verified: isRefused ? null : checked }
    received.push(request)
    for (const one of waiting) if (one.look()) waiting.delete(one)
    if (isRefused) return give({ status: 401, body: checked.code }, res, closing.signal)
    const script = await scriptOf(request).catch((error: unknown) => ({ status: 500, body: String(error) }))
    await give(script, res, closing.signal)
  }

  async function scriptOf(request: ReceivedRequest): Promise<AnswerScript> {
    const path = request.path.replace(/\?.*/s, '')
    const open = rules.filter(({ times }) => times > 0)
    const rule = open.findLast((one) => one.path === path) ?? open.findLast((one) => one.path === undefined)
    if (rule !== undefined) rule.times--
    let answer = rule?.answer ?? 204
    while (typeof answer === 'function') answer = await answer(request)
    return typeof answer === 'number' ? { status: answer } : answer
  }

  function until<T>(found: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        const value = found()
        if (value !== undefined) resolve(value)
        return value !== undefined
      }
      if (closing.signal.aborted) reject(new Error('the receiver is closed'))
      else if (!look()) waiting.add({ look, reject })
    })
  }

  const { address, family, port: bound } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    received,
    get connections() {
      return connections
    },
    answer: (answer, { path, times = Infinity } = {}) => void rules.push({ answer, path, times }),
    next: (fits = () => true) =>
      until(() => {
        const found = received.find((request) => !taken.has(request) && fits(request))
        if (found !== undefined) taken.add(found)
        return found
      }),
    waitFor: (count) => until(() => (received.length >= count ? received : undefined)),
    clear: () => void received.splice(0),
    async close() {
      closing.abort()
      for (const one of waiting) one.reject(new Error('the receiver is closed'))
      waiting.clear()
      server.closeAllConnections()
      if (server.listening) await new Promise((closed) => server.close(closed))
    },
  }
}

function verify(
  verifier: Verifier,
  { body, headers }: Pick<ReceivedRequest, 'body' | 'headers'>,
): Verified | WebhookError {
  try {
    return verifier.verify({ body, headers })
  } catch (error) {
    if (error instanceof WebhookError) return error
    throw error
  }
}

async function read(req: IncomingMessage): Promise<Omit<ReceivedRequest, 'verified'>> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  return {
    method: req.method!,
    path: req.url!,
    headers: req.headers,
    body,
    at: new Date(),
    json: () => JSON.parse(body.toString()) as unknown,
  }
}

async function give(script: AnswerScript, res: ServerResponse, signal: AbortSignal): Promise<void> {
  const { headers = {}, hang, reset, delayMs = 0, dripMs } = script
  const body = Buffer.from(script.body ?? '')
  if (delayMs > 0) await sleep(delayMs, undefined, { signal })
  if (hang === 'head') return
  if (reset === 'head') return void res.socket?.resetAndDestroy()
  res.writeHead(script.status ?? (body.length > 0 || hang || reset ? 200 : 204), headers)
  if (dripMs === undefined && hang === undefined && reset === undefined) return void res.end(body)
  res.flushHeaders()
  if (dripMs === undefined) res.write(body)
  else for (const byte of body) await sleep(dripMs, res.write(Buffer.of(byte)), { signal })
  if (reset === 'body') setImmediate(() => res.socket?.resetAndDestroy())
  else if (hang === undefined) res.end()
}
