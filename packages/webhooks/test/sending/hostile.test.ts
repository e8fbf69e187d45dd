import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { localSender, post, textOf } from './send.ts'
import { rawReceiver } from './raw-receiver.ts'

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
const timeoutMs = 300

/** Writes the same again and again, as fast as it is taken. */
function pour(socket: Socket, chunk: Buffer, head = ''): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on('drain', more)
  socket.write(head)
  more()
}

function drip(socket: Socket, bytes: string, everyMs: number): void {
  const left = [...bytes]
  const timer = setInterval(() => {
    const next = left.shift()
    if (next === undefined || socket.destroyed) clearInterval(timer)
    else socket.write(next)
  }, everyMs)
}

/** Resolves when undici has read the head of the next answer. */
function nextHead(): Promise<void> {
  const heads = channel('undici:request:headers')
  return new Promise((resolve) => {
    const seen = (): void => resolve()
    heads.subscribe(seen)
    onTestFinished(() => {
      heads.unsubscribe(seen)
    })
  })
}

describe('a receiver that does not answer in time holds a slot no longer, and no socket', () => {
  test.each<[string, (socket: Socket) => void, number | null]>([
    ['never', () => {}, null],
    ['half a head', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-le'), null],
    ['a head that drips', (socket) => drip(socket, `HTTP/1.1 200 OK\r\n${'x-a: b\r\n'.repeat(1_000)}`, 20), null],
    [
      'a body that drips',
      (socket) => (socket.write(OK.replace('length: 2', 'length: 9999')), drip(socket, 'x'.repeat(9_999), 20)),
      200,
    ],
    ['half a body', (socket) => socket.write('HTTP/1.1 503 Busy\r\ncontent-length: 10\r\n\r\nhalf'), 503],
    [
      'a chunk that never ends',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf'),
      200,
    ],
    ['a body without an end', (socket) => socket.write('HTTP/1.0 200 OK\r\n\r\nhalf'), 200],
    ['1xx for ever', (socket) => drip(socket, 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n'.repeat(500), 1), null],
  ])('%s', async (_, behave, status) => {
    const asked = Promise.withResolvers<void>()
    const receiver = await rawReceiver((socket) => (behave(socket), asked.resolve()))
    // No time passes before it has done what it does.
    const clock = virtualClock()
    const headed = status === null ? undefined : nextHead()
    const posting = post(localSender({}, clock), receiver.url, { timeoutMs })
    await asked.promise
    await headed
    await clock.advance(timeoutMs)
    const result = await posting
    expect(result).toMatchObject({ outcome: 'timeout', status, error: 'ETIMEDOUT', remoteAddress: '127.0.0.1' })
    expect(result.durationMs).toBe(timeoutMs)
    await receiver.nobody()
    expect(receiver.accepted).toBe(1)
  })

  test('a socket that is not even read from: a large event, and its sender', async () => {
    const receiver = await rawReceiver((socket) => socket.pause())
    const result = await post(localSender(), receiver.url, { timeoutMs, body: Buffer.alloc(32 * 2 ** 20) })
    expect(result).toMatchObject({ outcome: 'timeout' })
  })

  test('a resolver that does not answer, and one that did once', async () => {
    const never = localSender({ resolve: () => new Promise(() => {}), connectTimeout: '20s' })
    expect(await post(never, 'http://receiver.example/', { timeoutMs })).toMatchObject({
      outcome: 'timeout',
      remoteAddress: null,
    })
    const late = localSender({ resolve: () => new Promise(() => {}), connectTimeout: timeoutMs })
    expect(await post(late, 'http://receiver.example/')).toMatchObject({ outcome: 'dns', error: 'ETIMEDOUT' })
  })

  test('a receiver that does not shake hands', async () => {
    const receiver = await rawReceiver(() => {})
    const url = receiver.url.replace('http:', 'https:')
    const patient = localSender({ connectTimeout: '5m' })
    expect(await post(patient, url, { timeoutMs })).toMatchObject({ outcome: 'timeout', remoteAddress: null })
    // What is being dialled is given up with its attempt.
    await receiver.nobody()
    // Of this TCP alone must not take all.
    expect(await post(localSender({ connectTimeout: '3s' }), url)).toMatchObject({
      outcome: 'tls',
      error: 'ETIMEDOUT',
    })
    await receiver.nobody()
  })

  test('a hundred that hang and one that does not, on one host', async () => {
    const receiver = await rawReceiver((socket, n) => void (n > 100 && socket.write(OK)))
    const sender = localSender()
    const hung = Array.from({ length: 100 }, () => post(sender, receiver.url, { timeoutMs: 60_000 }))
    while (receiver.accepted < 100) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success' })
    await sender.close()
    await Promise.all(hung)
    await receiver.nobody()
  })
})

test('a receiver that is gone as soon as it was reached is tried again: nobody refused its address', async () => {
  // On a thread of its own: it hangs up between our connection and our look at who is there.
  const gone = new Int32Array(new SharedArrayBuffer(4))
  const receiver = new Worker(
    `const { parentPort, workerData: gone } = require('node:worker_threads')
    const server = require('node:net').createServer((socket) => {
      socket.on('close', () => (Atomics.store(gone, 0, 1), Atomics.notify(gone, 0)))
      socket.resetAndDestroy()
    })
    server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`,
    { eval: true, workerData: gone },
  )
  onTestFinished(() => void receiver.terminate())
  const [port] = (await once(receiver, 'message')) as [number]
  const dialled = channel('net.client.socket')
  const waitForReset = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    socket.prependListener('connect', () => void Atomics.wait(gone, 0, 0))
  }
  dialled.subscribe(waitForReset)
  onTestFinished(() => {
    dialled.unsubscribe(waitForReset)
  })
  const result = await post(localSender(), `http://127.0.0.1:${port}`)
  expect(result).toMatchObject({ outcome: 'connect', error: 'ECONNRESET', remoteAddress: null })
})

describe('an answer that is none', () => {
  test.each<[string, (socket: Socket) => void, string, string]>([
    ['garbage', (socket) => socket.write('hello\r\n\r\n'), 'protocol', 'HTTPParserError'],
    ['SSH', (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'), 'protocol', 'HTTPParserError'],
    ['HTTP/2', (socket) => socket.write(Buffer.from('000012040000000000', 'hex')), 'protocol', 'HTTPParserError'],
    [
      'a header without a colon',
      (socket) => socket.write('HTTP/1.1 200 OK\r\nbad\r\n\r\n'),
      'protocol',
      'HTTPParserError',
    ],
    [
      'a huge header',
      (socket) => pour(socket, Buffer.from(`x-a: ${'b'.repeat(1_000)}\r\n`), 'HTTP/1.1 200 OK\r\n'),
      'protocol',
      'UND_ERR_HEADERS_OVERFLOW',
    ],
    [
      'two lengths',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
      'protocol',
      'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
    ],
    [
      'a length and chunks',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
      'protocol',
      'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
    ],
    [
      'a bad chunk',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'),
      'protocol',
      'HTTPParserError',
    ],
    [
      'a switch to another protocol',
      (socket) => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      'protocol',
      'UND_ERR_SOCKET',
    ],
    ['100 unasked', (socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${OK}`), 'protocol', 'UND_ERR_SOCKET'],
    ['hung up at once', (socket) => socket.end(), 'reset', 'UND_ERR_SOCKET'],
    ['reset at once', (socket) => socket.resetAndDestroy(), 'reset', 'ECONNRESET'],
    ['hung up in the head', (socket) => socket.end('HTTP/1.1 200 OK\r\ncont'), 'reset', 'UND_ERR_SOCKET'],
    [
      'reset in the head',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncont', () => socket.resetAndDestroy()),
      'reset',
      'ECONNRESET',
    ],
    [
      'hung up in the body',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
      'reset',
      'UND_ERR_SOCKET',
    ],
    [
      'hung up in the last body',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf'),
      'protocol',
      'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
    ],
    [
      'reset in the body',
      (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', () => socket.resetAndDestroy()),
      'reset',
      'ECONNRESET',
    ],
    [
      'hung up in a chunk',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf'),
      'reset',
      'UND_ERR_SOCKET',
    ],
  ])('%s', async (_, behave, outcome, error) => {
    const receiver = await rawReceiver(behave)
    expect(await post(localSender(), receiver.url)).toMatchObject({ outcome, error })
    await receiver.nobody()
    // It was the first answer of its socket: nothing is sent twice.
    expect(receiver.accepted).toBe(1)
  })

  test('a receiver that resets before it is asked', async () => {
    const receiver = await rawReceiver(
      () => {},
      (socket) => socket.resetAndDestroy(),
    )
    expect((await post(localSender(), receiver.url)).outcome).toMatch(/^(reset|connect)$/)
  })

  test('a receiver that answers before it is asked', async () => {
    const receiver = await rawReceiver(
      () => {},
      (socket) => socket.write(OK),
    )
    const result = await post(localSender(), receiver.url, { timeoutMs })
    expect(['protocol', 'success', 'reset', 'timeout']).toContain(result.outcome)
    await receiver.nobody()
  })
})

describe('an answer that is odd', () => {
  test.each<[string, string, number]>([
    ['early hints first', `HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${OK}`, 200],
    ['HTTP/1.0 and its end', 'HTTP/1.0 200 OK\r\n\r\nok', 200],
    ['no reason', 'HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n', 200],
    ['a status nobody knows', 'HTTP/1.1 799 What\r\ncontent-length: 0\r\n\r\n', 799],
  ])('%s', async (_, bytes, status) => {
    const receiver = await rawReceiver((socket) =>
      bytes.startsWith('HTTP/1.0') ? socket.end(bytes) : socket.write(bytes),
    )
    expect(await post(localSender(), receiver.url)).toMatchObject({ status, error: null })
  })

  test('bytes behind an answer are nobody else’s answer', async () => {
    const smuggled = 'HTTP/1.1 299 Smuggled\r\ncontent-length: 0\r\n\r\n'
    const receiver = await rawReceiver((socket, n) => socket.write(n === 1 ? OK + smuggled : OK))
    const sender = localSender()
    for (let i = 0; i < 5; i++) expect(await post(sender, receiver.url)).toMatchObject({ status: 200 })
  })

  test('a body without an end, as fast as can be: its status decides, nothing piles up', async () => {
    const chunk = Buffer.alloc(65_536, 'x')
    const receiver = await rawReceiver((socket) =>
      pour(socket, chunk, 'HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n'),
    )
    const sender = localSender()
    for (let i = 0; i < 10; i++) await post(sender, receiver.url)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 50; i++) {
      const result = await post(sender, receiver.url)
      expect(result).toMatchObject({ outcome: 'success', status: 200, error: null })
      expect(textOf(result)).toBe('x'.repeat(16_384))
    }
    await receiver.nobody()
    // Fifty times one gigabyte was offered.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 2 ** 20)
  })
})

describe('a socket that was kept open', () => {
  test('and is hung up as we write: dialled again, once', async () => {
    // The fourth request, the first on a socket that has answered before, meets the goodbye.
    const receiver = await rawReceiver((socket, n) => (n === 2 ? socket.resetAndDestroy() : socket.write(OK)))
    const sender = localSender()
    await post(sender, receiver.url)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success', status: 200 })
    expect(receiver.accepted).toBe(2)
  })

  test('twice in a row is a failure', async () => {
    const receiver = await rawReceiver((socket, n) => (n > 1 ? socket.resetAndDestroy() : socket.write(OK)))
    const sender = localSender()
    await post(sender, receiver.url)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'reset', error: 'ECONNRESET' })
    expect(receiver.accepted).toBe(2)
  })

  test('is not dialled again once it has begun to answer', async () => {
    const half = 'HTTP/1.1 200 OK\r\ncont'
    const receiver = await rawReceiver((socket, n) =>
      n === 2 ? socket.write(half, () => socket.resetAndDestroy()) : socket.write(OK),
    )
    const sender = localSender()
    await post(sender, receiver.url)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'reset' })
    expect(receiver.accepted).toBe(1)
  })

  test('garbage on it is no goodbye', async () => {
    const receiver = await rawReceiver((socket, n) => socket.write(n === 2 ? 'hello' : OK))
    const sender = localSender()
    await post(sender, receiver.url)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'protocol' })
    expect(receiver.accepted).toBe(1)
  })

  test('with one socket to the origin, too', async () => {
    const receiver = await rawReceiver((socket, n) => (n === 2 ? socket.resetAndDestroy() : socket.write(OK)))
    const sender = localSender({ maxSocketsPerOrigin: 1 })
    await post(sender, receiver.url)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success' })
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success' })
    expect(receiver.accepted).toBe(2)
  })

  test('goes to a new socket, not to the next old one', async () => {
    const answered = new WeakSet<Socket>()
    const receiver = await rawReceiver((socket) => {
      if (answered.has(socket)) return socket.resetAndDestroy()
      answered.add(socket)
      setTimeout(() => socket.write(OK), 50)
    })
    const sender = localSender()
    await Promise.all([1, 2, 3].map(() => post(sender, receiver.url)))
    expect(receiver.accepted).toBe(3)
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success' })
    expect(receiver.accepted).toBe(4)
  })
})
