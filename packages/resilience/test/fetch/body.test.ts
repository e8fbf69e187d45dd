import { getEventListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { resilientFetch, type ResilientFetchOptions } from '../../src/fetch/index.ts'
import { expectNoUnhandled } from '../no-unhandled.ts'
import { origin } from './origin-of-test.ts'

expectNoUnhandled()

/** One place, so that who holds it is seen; time passes when the test says so. */
function on(options: Partial<ResilientFetchOptions> = {}) {
  const clock = virtualClock()
  const up = resilientFetch({ name: 'up', limit: 1, key: () => 'one', ...options, clock })
  const isFree = async (): Promise<boolean> => (await up.pipeline.try(() => new Response(), { key: 'one' })).ok
  return { clock, up, isFree }
}

/** A poll whose default is a second, which a busy machine may take from a process at once. */
const soon = <T>(look: () => T) => expect.poll(look, { timeout: 90_000 })

const MB = 2 ** 20
const big = Buffer.alloc(MB, 'keelson ')
/** More than is read ahead by all buffers on the way. */
const huge = Buffer.alloc(32 * MB, 'x')

/** Answers the headers and the first part, and keeps the rest in hand. */
async function begun(first: string | Buffer = 'first', headers: Record<string, string> = {}) {
  const answers: ServerResponse[] = []
  const one = await origin((res) => {
    answers.push(res)
    res.writeHead(200, headers).write(first)
  })
  return { ...one, answers }
}

describe('the place of a limit', () => {
  test('is held until the body is read to its end', async () => {
    const { url, answers } = await begun()
    const { up, isFree } = on()
    const answer = await up(url)
    const text = answer.text()
    expect(await isFree()).toBe(false)
    expect((await up.pipeline.inspect()).inFlight).toBe(1)
    await expect(up(url)).rejects.toMatchObject({ code: 'SHED' })
    answers[0]!.end(' last')
    expect(await text).toBe('first last')
    expect(await isFree()).toBe(true)
    expect((await up.pipeline.inspect()).inFlight).toBe(0)
  })

  test.each(['HEAD', 'GET 204', 'GET 304'])('is free at once where there is no body: %s', async (kind) => {
    const [method = '', status = '200'] = kind.split(' ')
    const { url } = await origin((res) => res.writeHead(Number(status), { etag: '"a"' }).end())
    const { up, isFree } = on()
    const answer = await up(url, { method })
    expect([answer.status, answer.body, answer.url, answer.headers.get('etag')]).toEqual([
      Number(status),
      null,
      `${url}/`,
      '"a"',
    ])
    expect(await isFree()).toBe(true)
  })

  test('is free when a body that fits into memory is here, although nobody reads it', async () => {
    const { url } = await origin((res) => res.end(big.subarray(0, 50_000)))
    const { up, isFree } = on()
    const answer = await up(url)
    await soon(isFree).toBe(true)
    expect((await answer.arrayBuffer()).byteLength).toBe(50_000)
  })

  test('is free when the body is cancelled, and its socket is closed', async () => {
    const { url, open } = await begun(huge)
    const { up, isFree } = on()
    const answer = await up(url)
    expect(await isFree()).toBe(false)
    await answer.body!.cancel()
    expect(await isFree()).toBe(true)
    await soon(() => open.size).toBe(0)
  })

  test('goes back after bodyIdle when nobody reads, and the body can still be read', async () => {
    let chunks = 0
    const stream = () =>
      new ReadableStream({
        type: 'bytes',
        pull(controller) {
          if (chunks++ < 5) controller.enqueue(new Uint8Array(50_000))
          else controller.close()
        },
      })
    const { up, isFree, clock } = on({ bodyIdle: '10s', deadline: false, fetch: async () => new Response(stream()) })
    const answer = await up('http://host/')
    await clock.advance(9_999)
    expect([await isFree(), chunks, clock.pending()]).toEqual([false, 2, 1])
    await clock.advance(1)
    expect([await isFree(), clock.pending()]).toEqual([true, 0])
    await clock.advance('1h')
    expect((await answer.arrayBuffer()).byteLength).toBe(250_000)
    expect(clock.pending()).toBe(0)
  })
})

describe('a body', () => {
  test('that goes on is never too slow; one that is silent fails and says so, and its socket is closed', async () => {
    const { url, answers, open } = await begun('0')
    const { up, isFree, clock } = on({ bodyIdle: '10s' })
    const reader = (await up(url)).body!.getReader()
    for (let n = 0; n < 10; n++) {
      const { value } = await reader.read()
      expect(Buffer.from(value).toString()).toBe(String(n))
      await clock.advance(9_999)
      answers[0]!.write(String(n + 1))
    }
    await reader.read()
    const silent = reader.read()
    silent.catch(() => {})
    await clock.advance(9_999)
    expect(await isFree()).toBe(false)
    await clock.advance(1)
    await expect(silent).rejects.toMatchObject({
      code: 'ATTEMPT_TIMEOUT',
      message: 'resilientFetch "up": the body was silent for 10000 ms ("bodyIdle")',
    })
    expect(await isFree()).toBe(true)
    await soon(() => open.size).toBe(0)
  })

  test('that nobody reads keeps its place for bodyIdle after its last chunk', async () => {
    const late = Promise.withResolvers<void>()
    let chunks = 0
    const stream = new ReadableStream({
      async pull(controller) {
        if (chunks++ === 1) await late.promise
        controller.enqueue(new Uint8Array(50_000))
      },
    })
    const { up, isFree, clock } = on({ bodyIdle: '10s', deadline: false, fetch: async () => new Response(stream) })
    const answer = await up('http://host/')
    await clock.advance(9_000)
    late.resolve()
    await clock.advance(9_999)
    expect(await isFree()).toBe(false)
    await clock.advance(1)
    expect(await isFree()).toBe(true)
    await answer.body!.cancel()
  })

  test('has all of bodyIdle from the moment on when its slow reader wants more', async () => {
    const chunks = [new Uint8Array(50_000), new Uint8Array(50_000)]
    const last = Promise.withResolvers<void>()
    const stream = new ReadableStream({
      async pull(controller) {
        const chunk = chunks.shift()
        if (chunk !== undefined) return controller.enqueue(chunk)
        await last.promise
        controller.close()
      },
    })
    const { up, clock } = on({ bodyIdle: '10s', deadline: false, fetch: async () => new Response(stream) })
    const answer = await up('http://host/')
    await clock.advance(9_999)
    const bytes = answer.arrayBuffer()
    await clock.advance(9_999)
    last.resolve()
    expect((await bytes).byteLength).toBe(100_000)
  })

  test.each(['reset', 'ended'])(
    'that is %s in its middle fails its reader; the breaker was told before',
    async (how) => {
      const { url, answers } = await begun('first', { 'content-length': '100' })
      const { up, isFree } = on({ breaker: { minCalls: 1, consecutive: 1 }, retry: { base: 0 } })
      const answer = await up(url)
      const text = answer.text()
      if (how === 'reset') answers[0]!.socket!.resetAndDestroy()
      else answers[0]!.socket!.end()
      await expect(text).rejects.toThrow(new TypeError('terminated'))
      expect(await isFree()).toBe(true)
      expect([up.pipeline.state('one'), answers.length]).toEqual(['closed', 1])
    },
  )

  test('that fails before it is read fails its reader then, and nothing is unhandled', async () => {
    const { url, answers } = await begun('first', { 'content-length': '100' })
    const { up, isFree } = on()
    const answer = await up(url)
    answers[0]!.socket!.resetAndDestroy()
    await soon(isFree).toBe(true)
    await expect(answer.text()).rejects.toThrow(TypeError)
  })

  test('ends with the caller’s signal and its reason, and leaves no listener', async () => {
    const reason = new Error('left')
    const { url, open } = await begun()
    const { up, isFree } = on()
    const leaving = new AbortController()
    const { signal } = leaving
    const request = new Request(url, { signal })
    const texts = [(await up(request)).text()]
    expect(await isFree()).toBe(false)
    leaving.abort(reason)
    await expect(texts[0]).rejects.toBe(reason)
    await soon(() => open.size).toBe(0)
    expect(await isFree()).toBe(true)
    const staying = new AbortController()
    const quick = await origin((res) => res.end('quick'))
    for (let n = 0; n < 5; n++) await (await up(quick.url, { signal: staying.signal })).text()
    expect(getEventListeners(staying.signal, 'abort')).toHaveLength(0)
  })

  test('ends with the caller’s signal although it came from a hedge', async () => {
    const { url, answers } = await begun()
    const slow = await origin(() => {})
    const { up, isFree, clock } = on({
      hedge: { after: 100 },
      retry: true,
      fetch: (input, init) => fetch(hedges++ === 0 ? slow.url : input, init),
    })
    let hedges = 0
    const leaving = new AbortController()
    const answer = up(url, { signal: leaving.signal })
    await soon(() => slow.arrived.length).toBe(1)
    await clock.advance(100)
    const text = (await answer).text()
    await soon(() => slow.open.size).toBe(0)
    expect(await isFree()).toBe(false)
    leaving.abort(new Error('left'))
    await expect(text).rejects.toThrow('left')
    expect([await isFree(), answers.length]).toEqual([true, 1])
  })

  test('of 1 MB arrives whole, by every way of reading', async () => {
    const { url } = await origin((res) => {
      for (let at = 0; at < MB; at += 10_000) res.write(big.subarray(at, at + 10_000))
      res.end()
    })
    const { up, isFree } = on()
    const get = (): Promise<Response> => up(url)
    const isBig = (bytes: Uint8Array | ArrayBuffer): void =>
      expect(Buffer.from(bytes as ArrayBuffer).equals(big)).toBe(true)
    isBig(await (await get()).arrayBuffer())
    isBig(await (await (await get()).blob()).arrayBuffer())
    expect(await (await get()).text()).toBe(big.toString())
    const chunks: Uint8Array[] = []
    for await (const chunk of (await get()).body!) chunks.push(chunk)
    isBig(Buffer.concat(chunks))
    const first = await get()
    const second = first.clone()
    isBig(await second.arrayBuffer())
    isBig(await first.arrayBuffer())
    const byob = (await get()).body!.getReader({ mode: 'byob' })
    const parts: Buffer[] = []
    for (;;) {
      const { done, value } = await byob.read(new Uint8Array(3_333))
      if (done) break
      parts.push(Buffer.from(value))
    }
    isBig(Buffer.concat(parts))
    expect(await isFree()).toBe(true)
  })

  test('of a fetch of one’s own may be no stream of bytes: its chunks stay whole', async () => {
    const shared = Buffer.from('shared')
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array())
        controller.enqueue(shared)
        controller.close()
      },
    })
    const { up, isFree } = on({ fetch: async () => new Response(stream as ReadableStream<Uint8Array<ArrayBuffer>>) })
    expect(await (await up('http://host/')).text()).toBe('shared')
    expect([String(shared), await isFree()]).toEqual(['shared', true])
  })
})

describe('an answer that nobody is given', () => {
  test.each([
    ['small', 100],
    ['huge', huge.length],
  ])('leaves no socket taken: %s', async (_, bytes) => {
    const one = await origin((res, n) =>
      n % 3 === 2 ? res.end('ok') : res.writeHead(503).end(huge.subarray(0, bytes)),
    )
    const up = resilientFetch({ name: 'up', limit: 1, retry: { base: 1, budget: false } })
    for (let n = 0; n < 5; n++) expect(await (await up(one.url)).text()).toBe('ok')
    expect(one.arrived).toHaveLength(15)
    // What is read ahead lets the socket be used again.
    if (bytes === 100) expect(one.connections).toBeLessThan(15)
    await soon(() => one.underWay.size).toBe(0)
  })

  test('is cancelled when the caller leaves between two attempts, and when it comes too late', async () => {
    const { url, open } = await origin((res) => res.writeHead(503).end(huge))
    const { up, isFree, clock } = on({ retry: { base: '10s', jitter: 'none' }, deadline: '1m' })
    const leaving = new AbortController()
    const left = up(url, { signal: leaving.signal })
    left.catch(() => {})
    await soon(async () => (await up.pipeline.inspect()).counts['attempts']).toBe(1)
    await soon(async () => (await up.pipeline.inspect()).inFlight).toBe(0)
    expect([open.size, await isFree()]).toEqual([1, true])
    leaving.abort()
    await expect(left).rejects.toThrow('aborted')
    await soon(() => open.size).toBe(0)
    const late = on({ attempt: 10, fetch: (input, init) => fetch(input, { ...init, signal: null }) })
    const gate = Promise.withResolvers<void>()
    const slow = await origin(async (res) => {
      await gate.promise
      res.end(huge)
    })
    const answer = late.up(slow.url)
    answer.catch(() => {})
    await late.clock.advance(10)
    await expect(answer).rejects.toMatchObject({ code: 'ATTEMPT_TIMEOUT' })
    await soon(() => slow.arrived.length).toBe(1)
    gate.resolve()
    await soon(late.isFree).toBe(true)
    await soon(() => slow.open.size).toBe(0)
    await clock.advance(0)
  })
})
