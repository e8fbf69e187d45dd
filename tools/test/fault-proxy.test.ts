import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../faults/fault-proxy.ts'

describe('in front of an echo', () => {
  let echo: Server
  let heard: string
  let proxy: FaultProxy

  beforeEach(async () => {
    heard = ''
    echo = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        heard += bytes.toString()
        socket.write(bytes)
        echo.emit('heard')
      })
    })
    echo.listen(0, '127.0.0.1')
    await once(echo, 'listening')
    proxy = await startFaultProxy({ host: '127.0.0.1', port: (echo.address() as AddressInfo).port })
  })
  afterEach(async () => {
    await proxy.close()
    echo.close()
  })

  async function open(port = proxy.port): Promise<Socket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {}) // the proxy resets what a test leaves open
    await once(socket, 'connect')
    return socket
  }

  /** Reads until `length` bytes are there. */
  async function read(socket: Socket, length: number): Promise<string> {
    let text = ''
    while (text.length < length) text += String((await once(socket, 'data'))[0])
    return text
  }

  async function trip(socket: Socket, text: string): Promise<string> {
    socket.write(text)
    return await read(socket, text.length)
  }

  it('passes bytes and ends, both ways', async () => {
    const client = await open()
    expect(await trip(client, 'hello')).toBe('hello')
    client.end()
    await once(client, 'close')
    expect(client.errored).toBeNull()
  })

  it('passes more than it holds, in order', async () => {
    const client = await open()
    const text = Array.from({ length: 600_000 }, (_, index) => index).join(' ') // about 4 MB
    expect((await trip(client, text)) === text).toBe(true)
  })

  it('refuses: resets the old connection and each new one', async () => {
    const old = await open()
    await trip(old, 'x')
    const oldError = once(old, 'error')
    proxy.refuse()
    expect(await oldError).toMatchObject([{ code: 'ECONNRESET' }])
    const young = connect({ port: proxy.port, host: '127.0.0.1' })
    expect(await once(young, 'error')).toMatchObject([{ code: 'ECONNRESET' }])
    proxy.pass()
    expect(await trip(await open(), 'again')).toBe('again')
  })

  it('freezes: accepts, holds both directions, and delivers when it passes', async () => {
    const old = await open()
    await trip(old, 'a')
    proxy.resetCount()
    proxy.freeze()
    const young = await open()
    old.write('b')
    young.write('c')
    await expect.poll(() => proxy.roundTrips, { interval: 1 }).toBe(2) // both chunks are in the proxy
    await trip(await open((echo.address() as AddressInfo).port), 'd') // the echo is alive
    expect(heard).toBe('ad')
    proxy.pass()
    expect([await read(old, 1), await read(young, 1)]).toEqual(['b', 'c'])
  })

  it('freezes a long sender by back pressure, and loses nothing of it', async () => {
    const [frozen, direct] = [await open(), await open((echo.address() as AddressInfo).port)]
    const text = 'x'.repeat(24 * 1024 * 1024) // more than the kernel buffers for us
    proxy.freeze()
    frozen.write(text)
    await trip(direct, text) // as long as the frozen one would take
    expect(frozen.writableLength).toBeGreaterThan(0)
    proxy.pass()
    expect((await read(frozen, text.length)).length).toBe(text.length)
  })

  it('delays each direction and keeps the order', async () => {
    const client = await open()
    proxy.delay(50)
    const startMs = performance.now()
    client.write('a')
    client.write('b')
    expect(await read(client, 2)).toBe('ab')
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(100)
    client.write('c')
    await expect.poll(() => proxy.roundTrips, { interval: 1 }).toBe(2)
    proxy.pass()
    expect(await read(client, 1)).toBe('c')
    expect(() => proxy.delay(-1)).toThrow('delayMs is -1')
  })

  it('half opens: the server hears an old connection, which never hears back', async () => {
    const old = await open()
    await trip(old, 'a')
    proxy.halfOpen()
    old.write('b')
    await once(echo, 'heard')
    proxy.pass()
    old.write('c')
    await once(echo, 'heard')
    expect(await trip(await open(), 'new')).toBe('new')
    expect(heard).toBe('abcnew')
    expect(old.bytesRead).toBe(1)
  })

  it('resets all connections, and takes new ones', async () => {
    const old = await open()
    await trip(old, 'a')
    const error = once(old, 'error')
    proxy.resetAll()
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await trip(await open(), 'b')).toBe('b')
  })

  it('resets the client of a server that is not there', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    listener.close()
    await once(listener, 'close')
    await using nowhere = await startFaultProxy({ host: '127.0.0.1', port })
    const client = connect({ port: nowhere.port, host: '127.0.0.1' })
    expect(await once(client, 'error')).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('loses a reply in several chunks to its last, and then resets the client', async () => {
    const client = await open()
    await trip(client, 'a')
    const error = once(client, 'error')
    const lost = proxy.loseReplyAfter(
      (bytes) => bytes.includes('b'),
      (reply) => reply.toString() === 'bcd',
    )
    for (const text of ['b', 'c', 'd']) {
      client.write(text)
      await once(echo, 'heard')
    }
    expect(await lost).toBe(true)
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
    expect(client.bytesRead).toBe(1)
  })

  it('says so when there was no reply to lose', async () => {
    const lost = proxy.loseReplyAfter(
      (bytes) => bytes.includes('b'),
      () => false,
    )
    const never = proxy.loseReplyAfter(() => false)
    const client = await open()
    await trip(client, 'a')
    client.write('b')
    await once(echo, 'heard')
    proxy.resetAll()
    expect(await lost).toBe(false)
    await proxy.close()
    expect(await never).toBe(false)
  })
})

describe('in front of Postgres', () => {
  const { hostname, port } = new URL(inject('databaseUrl'))
  let proxy: FaultProxy

  beforeEach(async () => void (proxy = await startFaultProxy({ host: hostname, port: Number(port || 5432) })))
  afterEach(async () => await proxy.close())

  /** `through`: by way of the proxy. */
  async function connectClient(through: boolean): Promise<Client> {
    const url = new URL(inject('databaseUrl'))
    if (through) url.host = `${proxy.host}:${proxy.port}`
    const client = new Client({ connectionString: url.href })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  it('counts three awaited queries as three round trips, and three in one flight as one', async () => {
    const client = await connectClient(true)
    proxy.resetCount()
    for (const n of [1, 2, 3]) await client.query('select $1::int, repeat($2, 100000)', [n, 'x'])
    expect(proxy.roundTrips).toBe(3)
    await client.query('begin; select 1; commit')
    expect(proxy.roundTrips).toBe(4)
    await client.end()
  })

  it('loses the reply to a COMMIT whose row is there', async () => {
    const table = `fault_proxy_${process.pid}`
    const direct = await connectClient(false)
    await direct.query(`create table ${table} (n int)`)
    try {
      const client = await connectClient(true)
      await client.query('begin')
      await client.query(`insert into ${table} values (1)`)
      const lost = proxy.loseReplyAfter(
        (bytes) => bytes.includes('commit'),
        (reply) => reply.includes('COMMIT'),
      )
      await expect(client.query('commit')).rejects.toThrow('ECONNRESET')
      expect(await lost).toBe(true)
      expect((await direct.query(`select n from ${table}`)).rows).toEqual([{ n: 1 }])

      const next = await connectClient(true)
      await next.query('begin; commit') // armed once
      await next.end()
    } finally {
      await direct.query(`drop table ${table}`)
      await direct.end()
    }
  })
})
