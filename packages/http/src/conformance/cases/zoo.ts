import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '@keelson/kernel/conformance'
import type { Answer } from '../client.ts'
import type { HttpSubject, Kind } from '../http-subject.ts'
import { sample } from '../sample.ts'
import { httpCase, MOMENT_MS, ownLines, route, type Stage, type TestRoute } from '../stage.ts'

interface Animal {
  readonly kind: Kind
  /** Default 200. */
  readonly status?: number
  /** Default: that of the plain answer, whatever it is. */
  readonly body?: string | Uint8Array
  readonly headers?: readonly (readonly [string, string])[]
  /** What becomes of its key: by default it is remembered. */
  readonly key?: 'free' | 'spent'
  readonly pieces?: () => AsyncIterable<string>
}

const pieces = 'onetwothree'

/** Answers of ordinary handlers. */
const zoo: readonly Animal[] = [
  { kind: 'json', status: 201, body: JSON.stringify(sample.json) },
  { kind: 'text', body: sample.text },
  { kind: 'buffer', body: sample.bytes },
  { kind: 'empty', body: '' },
  { kind: 'no-content', status: 204, body: '' },
  { kind: 'head', body: '' },
  { kind: 'stream', body: pieces },
  { kind: 'slow-stream', body: pieces, pieces: slowly },
  { kind: 'length-then-late-end', body: pieces, pieces: slowly },
  { kind: 'web-response', status: 202, body: sample.text, headers: [['X-Own', 'yes']] },
  { kind: 'web-stream', body: pieces },
  { kind: 'file', body: readFileSync(sample.file) },
  { kind: 'write-head-object', status: 202, body: sample.text, headers: sample.headers },
  { kind: 'write-head-array', status: 202, body: sample.text, headers: sample.headers },
  { kind: 'latin1', body: Buffer.from(sample.text, 'latin1') },
  { kind: 'two-cookies', body: JSON.stringify(sample.json), headers: [sample.cookies[0]!, sample.cookies[1]!] },
  { kind: 'redirect', status: 303, headers: [['Location', sample.location]] },
  { kind: 'throw', status: 500, key: 'free' },
  { kind: 'throw-4xx', status: 418 },
  { kind: 'sse', body: pieces, key: 'spent' },
  { kind: 'large', body: sample.large, key: 'spent' },
]

async function* slowly(): AsyncGenerator<string> {
  for (const piece of ['one', 'two', 'three']) {
    yield piece
    await sleep(5)
  }
}

const keyed = { idempotent: {} }

/** Every answer passes as it was made, and is given again as it passed. */
export const zooCases: readonly Case<HttpSubject>[] = [
  httpCase('what a subject does not support is one of the kinds, with a reason', async ({ subject, ok }) => {
    const kinds: readonly string[] = [...zoo.map(({ kind }) => kind), 'never-ends', 'work', 'api', 'echo-context']
    for (const [kind, reason] of Object.entries(subject.unsupported ?? {})) {
      ok(kinds.includes(kind), `'${kind}' is no kind`)
      ok(typeof reason === 'string' && reason.length > 0, `'${kind}' has no reason`)
    }
  }),

  ...zoo.map((animal) =>
    httpCase(`${animal.kind}: passes byte for byte, and is given again`, async (stage) => {
      if (stage.supports(animal.kind)) await passesAndIsGivenAgain(stage, animal)
    }),
  ),

  ...zoo
    .filter(({ key }) => key !== 'free')
    .map((animal) =>
      httpCase(`${animal.kind}: is stored before its last byte arrives`, async (stage) => {
        if (stage.supports(animal.kind)) await isStoredBeforeItsLastByte(stage, animal)
      }),
    ),

  httpCase('a client hears each piece of a stream before the next is made, but for the newest', async (stage) => {
    const { supports, serve, key } = stage
    if (!supports('slow-stream')) return
    const heard = Promise.withResolvers<void>()
    const slow = route('slow-stream', {
      policy: keyed,
      async *pieces() {
        yield 'one'
        yield 'two'
        await heard.promise
        yield 'three'
      },
    })
    const site = await serve([slow])
    const connection = site.openCall(slow, key())
    await connection.until(({ body }) => body.toString() === 'one')
    heard.resolve()
    stage.equal((await connection.whole()).body.toString(), pieces)
  }),

  httpCase('an answer behind a policy makes Node warn of nothing', async ({ supports, serve, key, equal }) => {
    const kinds = (['json', 'stream', 'slow-stream', 'web-stream', 'file'] as const).filter((kind) => supports(kind))
    const routes = kinds.map((kind) => route(kind, { policy: keyed }))
    const reads = kinds.map((kind) => route(kind, { method: 'GET', path: `/has/${kind}`, policy: { etag: 'weak' } }))
    const site = await serve([...routes, ...reads])
    const warnings: string[] = []
    const note = (warning: Error): void => void warnings.push(warning.name)
    process.on('warning', note)
    for (const one of routes) await site.call(one, key())
    for (const one of reads) await site.call(one, undefined, { headers: [['If-None-Match', '*']] })
    await sleep(0)
    process.off('warning', note)
    equal(
      warnings.filter((name) => name === 'MaxListenersExceededWarning'),
      [],
    )
  }),

  httpCase('server-sent events are not held', async (stage) => {
    const { supports, serve, key, equal } = stage
    if (!supports('sse')) return
    const heard = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const sse = route('sse', {
      policy: keyed,
      async *pieces() {
        yield 'data: 1\n\n'
        await heard[0]!.promise
        yield 'data: 2\n\n'
        await heard[1]!.promise
      },
    })
    const site = await serve([sse])
    const connection = site.openCall(sse, key())
    await connection.until(({ body }) => body.toString() === 'data: 1\n\n')
    heard[0]!.resolve()
    await connection.until(({ body }) => body.toString() === 'data: 1\n\ndata: 2\n\n')
    heard[1]!.resolve()
    equal((await connection.whole()).status, 200)
  }),
]

/** The same handler, with and without a policy. */
function both({ kind, pieces }: Animal): [plain: TestRoute, captured: TestRoute] {
  const more = pieces === undefined ? {} : { pieces }
  return [route(kind, { path: '/bare', ...more }), route(kind, { path: '/kept', policy: keyed, ...more })]
}

async function passesAndIsGivenAgain({ serve, key, equal, ok }: Stage, animal: Animal): Promise<void> {
  const [plain, captured] = both(animal)
  const { status = 200, body, headers = [], key: becomes = 'remembered' } = animal
  const site = await serve([plain, captured])
  const bare = await site.call(plain, undefined)
  equal(bare.status, status, 'the handler’s own status')
  if (body !== undefined) sameBytes(equal, bare.body, Buffer.from(body), 'the handler’s own body')
  for (const line of headers) ok(hasLine(bare, line), `the handler’s own header ${line.join(': ')}`)

  const mine = key()
  const first = await site.call(captured, mine)
  equal(first.status, status)
  if (body !== undefined) sameBytes(equal, first.body, bare.body, 'the first answer')
  equal(ownLines(first), ownLines(bare), 'headers of the first answer')
  // Of a short stream it may be known once it is kept.
  const length = bare.header('content-length') ?? first.header('content-length')
  equal(first.header('content-length'), length, 'Content-Length of the first answer')

  const again = await site.call(captured, mine)
  if (becomes === 'free') {
    equal([again.status, again.header('idempotent-replayed'), captured.runs], [status, undefined, 2])
    return
  }
  equal(captured.runs, 1, 'runs')
  if (becomes === 'spent') {
    equal([again.status, again.json()['code']], [409, 'answer-not-retained'])
    return
  }
  equal(again.status, status, 'the status of the replay')
  sameBytes(equal, again.body, first.body, 'the replay')
  const kept = ownLines(first).filter(([name]) => !/^set-cookie$/i.test(name))
  equal(byName(ownLines(again)), byName([...kept, ['Idempotent-Replayed', 'true']]), 'headers of the replay')
  for (const stored of site.watched.given) {
    const names = stored.headers.map(([name]) => name.toLowerCase())
    equal(
      names.filter((name) => NEVER_KEPT.test(name)),
      [],
      'headers that must not be stored',
    )
  }
}

const NEVER_KEPT = /^(set-cookie|content-length|transfer-encoding|connection|date|x-correlation-id|traceparent)$/

/** Repeats of a name stay in order; between names there is none. */
function byName(lines: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  return lines
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

function hasLine(answer: Answer, [name, value]: readonly [string, string]): boolean {
  return answer.all(name).some((one) => one.split(', ').includes(value) || one === value)
}

async function isStoredBeforeItsLastByte({ serve, key, equal, ok }: Stage, animal: Animal): Promise<void> {
  const [plain, captured] = both(animal)
  const site = await serve([plain, captured])
  const { body } = await site.call(plain, undefined)
  // An answer without a body ends with its head.
  const isThere = (answer: Answer): boolean =>
    body.length === 0 ? answer.status > 0 : answer.body.length === body.length
  const settling = Promise.withResolvers<void>()
  let isEarly = false
  const connection = site.openCall(captured, key())
  const arrived = connection.until(isThere)
  site.watched.beforeSettle = async () => {
    settling.resolve()
    isEarly = await Promise.race([arrived.then(() => true), sleep(MOMENT_MS, false)])
  }
  const before = await Promise.race([settling.promise, arrived.then(() => 'the answer')])
  ok(before === undefined, 'the answer was there before the store was told')
  await arrived
  ok(!isEarly, 'the answer was there before the store had it')
  equal(site.watched.ends, [animal.key === 'spent' ? 'tombstone' : 'done'])
}

/** In short: some kB of bytes tell nobody anything. */
function sameBytes(equal: Stage['equal'], actual: Buffer, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return
  const shown = (bytes: Uint8Array): string =>
    `${bytes.length} bytes: ${Buffer.from(bytes.subarray(0, 200)).toString('latin1')}`
  equal(shown(actual), shown(expected), what)
}
