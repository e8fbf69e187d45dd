import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../faults/fault-proxy.ts'

/** Looks often; gives up only on what hangs. */
const AT_ONCE = { interval: 1, timeout: 60_000 }

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
    await expect.poll(() => proxy.roundTrips, AT_ONCE).toBe(2) // both chunks are in the proxy
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
    await expect.poll(() => proxy.roundTrips, AT_ONCE).toBe(2)
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

  it('mutes: the server hears old and new connections, which never hear back, not even in a later mode', async () => {
    const old = await open()
    await trip(old, 'a')
    proxy.mute()
    old.write('b')
    await once(echo, 'heard')
    const young = await open()
    young.write('c')
    await once(echo, 'heard')
    proxy.pass()
    young.write('d')
    await once(echo, 'heard')
    expect(await trip(await open(), 'new')).toBe('new')
    expect(heard).toBe('abcdnew')
    expect([old.bytesRead, young.bytesRead]).toEqual([1, 0])
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

type ClientOptions = Pick<RedisOptions, 'retryStrategy' | 'connectionName'>

describe('in front of Redis', () => {
  const { hostname, port } = new URL(inject('redisUrl'))
  const key = `fault-proxy:${process.pid}`
  let clients: Redis[]
  let proxy: FaultProxy
  let direct: Redis

  beforeEach(async () => {
    clients = []
    proxy = await startFaultProxy({ host: hostname, port: Number(port || 6379) })
    direct = open(false)
  })
  afterEach(async () => {
    await direct.del(key)
    for (const client of clients) client.disconnect()
    await proxy.close()
  })

  /** `through`: by way of the proxy. */
  function open(through: boolean, o: ClientOptions = {}): Redis {
    const url = new URL(inject('redisUrl'))
    if (through) url.host = `${proxy.host}:${proxy.port}`
    const client = new Redis(url.href, { retryStrategy: () => 10, ...o })
    client.on('error', () => {})
    clients.push(client)
    return client
  }

  async function connectClient(o?: ClientOptions): Promise<Redis> {
    const client = open(true, o)
    await client.ping()
    proxy.resetCount()
    return client
  }

  it('counts three awaited commands as three round trips, and a pipeline of three as one', async () => {
    const client = await connectClient()
    for (const n of [1, 2, 3]) await client.echo(`${n} ${'x'.repeat(100_000)}`)
    expect(proxy.roundTrips).toBe(3)
    await client.pipeline().ping().ping().ping().exec()
    expect(proxy.roundTrips).toBe(4)
  })

  it('loses the reply to an INCR that is done, once', async () => {
    const client = await connectClient({ retryStrategy: null })
    const lost = proxy.loseReplyAfter((bytes) => bytes.includes('incr'))
    await expect(client.incr(key)).rejects.toThrow('Connection is closed')
    expect(await lost).toBe(true)
    expect(await direct.get(key)).toBe('1')
    expect(await open(true).incr(key)).toBe(2) // armed once
  })

  it('refuses old and new clients until it passes', async () => {
    const client = await connectClient()
    const error = once(client, 'error')
    proxy.refuse()
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
    await expect(open(true, { retryStrategy: null }).ping()).rejects.toThrow('Connection is closed')
    proxy.pass()
    expect(await client.ping()).toBe('PONG')
  })

  it('freezes a command on its way, and delivers it when it passes', async () => {
    const client = await connectClient()
    proxy.freeze()
    const answer = client.incr(key)
    await expect.poll(() => proxy.roundTrips, AT_ONCE).toBe(1)
    expect(await direct.exists(key)).toBe(0)
    proxy.pass()
    expect(await answer).toBe(1)
  })

  it('delays a command and its reply', async () => {
    const client = await connectClient()
    proxy.delay(50)
    const startMs = performance.now()
    await client.ping()
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(100)
  })

  /** Whether no answer came, not even just now. */
  async function isSilent(answer: Promise<unknown>): Promise<boolean> {
    const late = Symbol('late')
    answer.catch(() => {}) // the end of the test disconnects its client
    return (await Promise.race([answer, new Promise((resolve) => void setImmediate(resolve, late))])) === late
  }

  it('half opens: the command is done and not answered; another client is', async () => {
    const client = await connectClient()
    proxy.halfOpen()
    const answer = client.incr(key)
    await expect.poll(() => direct.get(key), AT_ONCE).toBe('1')
    expect(await open(true).incr(key)).toBe(2)
    expect(await isSilent(answer)).toBe(true)
  })

  it('mutes: what old and new clients say is done and not answered', async () => {
    const old = await connectClient()
    proxy.mute()
    const answer = old.incr(key)
    const young = open(true, { connectionName: key }) // which it tells the server before it waits
    await expect.poll(() => direct.get(key), AT_ONCE).toBe('1')
    await expect.poll(() => direct.client('LIST'), AT_ONCE).toContain(`name=${key} `)
    proxy.pass()
    expect(await open(true).incr(key)).toBe(2)
    expect(await isSilent(answer)).toBe(true)
    expect(young.status).toBe('connect') // never ready
  })

  it('resets a client, which connects again', async () => {
    const client = await connectClient()
    const error = once(client, 'error')
    proxy.resetAll()
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await client.ping()).toBe('PONG')
  })
})
