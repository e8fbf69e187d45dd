import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { drainServer, type ServerDrain } from '@keelson/http/node'

const servers: Server[] = []
afterEach(() => servers.splice(0).forEach((server) => server.close().closeAllConnections()))

async function serving(listener: RequestListener): Promise<{ port: number; server: Server; part: ServerDrain }> {
  const server = createServer(listener)
  servers.push(server)
  const part = drainServer(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server, part }
}

/** A keep-alive connection and what it received. */
async function client(
  port: number,
): Promise<{ socket: Socket; ask(path?: string): void; text(): string; closed: Promise<void> }> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk))).on('error', () => {})
  return {
    socket,
    ask: (path = '/') => void socket.write(`GET ${path} HTTP/1.1\r\nHost: t\r\n\r\n`),
    text: () => text,
    // Also by a reset: what a client had sent may not have been read.
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  }
}

const never = new AbortController().signal

describe('draining a server', () => {
  it('closes connections that never sent a whole request, too', async () => {
    const { port, server, part } = await serving((_req, res) => void res.end())
    const [silent, half] = [await client(port), await client(port)]
    half.socket.write('GET / HTTP/1.1\r\nHost:')
    const closed = once(server, 'close')
    await part.drain(never)
    await Promise.all([silent.closed, half.closed, closed])
  })

  it('lets an answer that is under way end, tells its client to go, and only then settles', async () => {
    const arrived = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const { port, part } = await serving(async (_req, res) => {
      arrived.resolve()
      await go.promise
      res.end('whole')
    })
    const one = await client(port)
    one.ask()
    await arrived.promise
    let isDrained = false
    const drained = part.drain(never).then(() => (isDrained = true))
    await sleep(350)
    expect(isDrained).toBe(false)
    await expect(client(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    go.resolve()
    await drained
    await one.closed
    expect(one.text()).toMatch(/Connection: close[\s\S]*whole$/)
  })

  it('answers all requests of a pipeline, and says goodbye with the last', async () => {
    const arrived = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    let missing = 4
    const { port, part } = await serving(async ({ url }, res) => {
      if (--missing === 0) arrived.resolve()
      await go.promise
      res.end(url)
    })
    const [other, one] = [await client(port), await client(port)]
    other.ask('/other')
    for (const path of ['/one', '/two', '/three']) one.ask(path)
    await arrived.promise
    const drained = part.drain(never)
    go.resolve()
    await Promise.all([drained, one.closed, other.closed])
    expect(one.text().match(/Connection: [\w-]+|\/\w+$|\/\w+(?=HTTP)/g)).toEqual([
      'Connection: keep-alive',
      '/one',
      'Connection: keep-alive',
      '/two',
      'Connection: close',
      '/three',
    ])
    expect(other.text()).toMatch(/Connection: close[\s\S]*\/other$/)
  })

  it('answers what comes behind a request under way, too, and says goodbye with that', async () => {
    const arrived = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const go = Promise.withResolvers<void>()
    let count = 0
    const { port, part } = await serving(async ({ url }, res) => {
      arrived[count++]!.resolve()
      await go.promise
      res.end(url)
    })
    const one = await client(port)
    one.ask('/one')
    await arrived[0]!.promise
    const drained = part.drain(never)
    for (const [i, path] of ['/two', '/three'].entries()) {
      one.ask(path)
      await arrived[i + 1]!.promise
    }
    go.resolve()
    await Promise.all([drained, one.closed])
    expect(one.text().match(/Connection: [\w-]+|\/\w+$|\/\w+(?=HTTP)/g)).toEqual([
      'Connection: keep-alive',
      '/one',
      'Connection: keep-alive',
      '/two',
      'Connection: close',
      '/three',
    ])
  })

  it('closes a connection whose head had left before', async () => {
    const begun = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const { port, part } = await serving(async (_req, res) => {
      res.write('one')
      begun.resolve()
      await go.promise
      res.end('two')
    })
    const one = await client(port)
    one.ask()
    await begun.promise
    const drained = part.drain(never)
    go.resolve()
    await drained
    await one.closed
    expect(one.text()).toContain('two')
  })

  it('closes idle connections, and answers what has come on one before', async () => {
    const { port, server, part } = await serving((req, res) => res.end(req.url))
    const idle = await client(port)
    idle.ask('/first')
    await once(idle.socket, 'data')
    const accepted = once(server, 'connection')
    const fresh = await client(port)
    await accepted
    const drained = part.drain(never)
    fresh.ask('/late')
    await drained
    await Promise.all([idle.closed, fresh.closed])
    expect(fresh.text()).toMatch(/Connection: close[\s\S]*\/late$/)
  })

  it('answers what has come on an idle connection, and was not read yet', async () => {
    const { port, part } = await serving((req, res) => res.end(req.url))
    const idle = await client(port)
    idle.ask('/first')
    await once(idle.socket, 'data')
    idle.ask('/second')
    await Promise.all([part.drain(never), idle.closed])
    expect(idle.text()).toMatch(/\/first[\s\S]*Connection: close[\s\S]*\/second$/)
  })

  it('answers it also when the process has stood still meanwhile', async () => {
    const { port, server, part } = await serving((req, res) => res.end(req.url))
    const accepted = once(server, 'connection')
    const fresh = await client(port)
    await accepted
    const { close } = server
    server.close = (...args) => {
      queueMicrotask(() => {
        fresh.ask('/late')
        // Longer than a tick, which has just begun: when it is over, its timer comes before what has arrived.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
      })
      return close.apply(server, args)
    }
    await Promise.all([part.drain(never), fresh.closed])
    expect(fresh.text()).toMatch(/Connection: close[\s\S]*\/late$/)
  })

  it('settles when its time is over, also at once', async () => {
    const arrived = Promise.withResolvers<void>()
    const { port, part } = await serving(() => arrived.resolve())
    const one = await client(port)
    one.ask()
    await arrived.promise
    const limit = new AbortController()
    const drained = part.drain(limit.signal)
    limit.abort()
    await drained
    await part.drain(limit.signal)
    expect(one.socket.closed).toBe(false)
    one.socket.destroy()
  })

  it('of a server that never listened is nothing', async () => {
    const server = createServer()
    await drainServer(server).drain(never)
  })
})
