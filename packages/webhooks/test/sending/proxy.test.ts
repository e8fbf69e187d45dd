import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { safeAgent } from '../../src/safe-agent/index.ts'
import { startReceiver, type Receiver } from '../../src/testing/index.ts'
import { localSender, post } from './send.ts'
import { rawReceiver } from './raw-receiver.ts'

interface Proxy {
  readonly url: string
  /** What CONNECT asked for, and with which credentials. */
  readonly asked: { readonly target: string; readonly credentials: string | undefined }[]
  readonly open: Set<Socket>
}

/** An egress proxy that leads everything to one receiver, or says no. */
async function startProxy(target: Receiver, status = 200): Promise<Proxy> {
  const asked: Proxy['asked'] = []
  const open = new Set<Socket>()
  const server = createServer((_, res) => res.writeHead(500).end('no CONNECT'))
  server.on('connect', (req, socket: Socket, head) => {
    open.add(socket.once('close', () => open.delete(socket)).on('error', () => {}))
    asked.push({ target: req.url!, credentials: req.headers['proxy-authorization'] })
    if (status !== 200) {
      // It waits for its client to leave.
      socket.once('end', () => socket.end())
      return socket.resume().write(`HTTP/1.1 ${status} No\r\ncontent-length: 2\r\n\r\nno`)
    }
    const { hostname, port } = new URL(target.url)
    const onwards = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onwards.write(head)
      onwards.pipe(socket).pipe(onwards)
    })
    onwards.on('error', () => socket.destroy())
    socket.on('close', () => onwards.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
    for (const socket of open) socket.destroy()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, open }
}

async function receiver(): Promise<Receiver> {
  const started = await startReceiver()
  onTestFinished(() => started.close())
  return started
}

const resolve = (): Promise<never> => Promise.reject(new Error('the proxy resolves'))

describe('an egress proxy', () => {
  test('is asked by CONNECT, for http too, with the name; the rest goes through its tunnel', async () => {
    const local = await receiver()
    const proxy = await startProxy(local)
    const sender = localSender({ allow: [], resolve, proxy: proxy.url.replace('//', '//user:p%40ss@') })
    for (let i = 0; i < 3; i++)
      expect(await post(sender, 'http://receiver.example/hook')).toMatchObject({
        outcome: 'success',
        remoteAddress: null,
      })
    expect(proxy.asked).toEqual([
      { target: 'receiver.example:80', credentials: `Basic ${Buffer.from('user:p@ss').toString('base64')}` },
    ])
    expect(local.received).toHaveLength(3)
    expect(local.received[0]).toMatchObject({ path: '/hook', headers: { host: 'receiver.example' } })
    expect(JSON.stringify(local.received)).not.toContain('proxy-authorization')

    const agent = safeAgent({ resolve, proxy: proxy.url })
    onTestFinished(() => agent.destroy())
    const answer = await agent.request({ origin: 'http://[2606:4700::1]:8080', path: '/', method: 'POST' })
    expect(answer.statusCode).toBe(204)
    expect(proxy.asked.at(-1)).toEqual({ target: '[2606:4700::1]:8080', credentials: undefined })
  })

  test.each([
    [403, 'proxy'],
    [407, 'proxy'],
    [400, 'connect'],
    [502, 'connect'],
    [503, 'connect'],
    [504, 'connect'],
  ])('that answers %i: %s', async (status, outcome) => {
    const proxy = await startProxy(await receiver(), status)
    const sender = localSender({ resolve, proxy: proxy.url })
    const result = await post(sender, 'https://receiver.example/')
    expect(result).toMatchObject({ outcome, error: `PROXY_${status}`, status: null, response: null })
    expect(proxy.asked).toHaveLength(1)
    while (proxy.open.size > 0) await new Promise((turn) => setTimeout(turn, 5))
  })

  test('is not asked for what may not be dialled anyway', async () => {
    const proxy = await startProxy(await receiver())
    const sender = localSender({ allow: [], ports: [80], resolve, proxy: proxy.url })
    for (const url of [
      'http://127.0.0.1/',
      'http://[::ffff:a00:1]/',
      'http://localhost/',
      'http://receiver.example:81/',
    ])
      expect(await post(sender, url)).toMatchObject({ outcome: 'refused' })
    expect(proxy.asked).toEqual([])
  })

  test('that is not there, hangs, or is none', async () => {
    const gone = await startReceiver()
    await gone.close()
    const url = 'http://receiver.example/'
    expect(await post(localSender({ resolve, proxy: gone.url }), url)).toMatchObject({
      outcome: 'connect',
      error: 'PROXY_ECONNREFUSED',
    })
    const silent = await rawReceiver(() => {})
    expect(await post(localSender({ resolve, proxy: silent.url }), url, { timeoutMs: 300 })).toMatchObject({
      outcome: 'timeout',
    })
    await silent.nobody()
    const slow = localSender({ resolve, proxy: silent.url, connectTimeout: 300 })
    expect(await post(slow, url)).toMatchObject({ outcome: 'connect', error: 'PROXY_ETIMEDOUT' })
    await silent.nobody()
    const none = await rawReceiver(
      () => {},
      (socket) => socket.write('hello\r\n\r\n'),
    )
    expect((await post(localSender({ resolve, proxy: none.url }), url)).outcome).toBe('connect')
    await none.nobody()
  })
})
