import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { fetch, interceptors, Pool, type Dispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  checkUrl,
  safeAgent,
  safeConnector,
  type ResolveHost,
  type SafeAgentOptions,
} from '../../src/safe-agent/index.ts'
import { startReceiver } from '../../src/testing/index.ts'
import { localSender, post } from '../sending/send.ts'
import { FORBIDDEN, formsOf } from './forbidden.ts'

// Listens on all addresses of this machine: whatever is dialled here, is counted.
let everywhere: Server
let port: number
let reached = 0

beforeAll(async () => {
  everywhere = createServer((socket) => {
    reached++
    socket.on('error', () => {})
    socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n')
  })
  everywhere.listen(0, '::')
  await once(everywhere, 'listening')
  port = (everywhere.address() as AddressInfo).port
})
afterAll(() => everywhere.close())

/** Hosts of this machine and of the forbidden blocks, as one may write them in a URL. */
function spellings(): string[] {
  const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address))
  const addresses = [
    ...FORBIDDEN.map((cidr) => cidr.replace(/\/.*/, '')),
    '127.0.0.1',
    '127.1.2.3',
    '169.254.169.254',
    ...own,
  ]
  const v4 = addresses.filter((address) => !address.includes(':'))
  const v6 = addresses.filter((address) => address.includes(':')).map((address) => address.replace(/%.*/, ''))
  return [
    ...v4.flatMap((address) => [
      ...spelledOf(address),
      ...formsOf(address).flatMap((form) => (form.includes(':') && !form.includes('%') ? [`[${form}]`] : [])),
    ]),
    ...v6.flatMap((address) => [`[${address}]`, `[${address.toUpperCase()}]`, `[${address}%25lo]`]),
    ...`localhost LOCALHOST localhost. localhost.. a.localhost a.localhost. ｌｏｃａｌｈｏｓｔ ⓛⓞⓒⓐⓛⓗⓞⓢⓣ %6cocalhost`.split(
      ' ',
    ),
    ...`0 127.1 0x7f.1 0177.1 127.0.1 017700000001 0x7f000001 127.0.0.1%00 ①②⑦.0.0.1`.split(' '),
  ]
}

function spelledOf(address: string): string[] {
  const bytes = address.split('.').map(Number)
  const [a, b, c, d] = bytes as [number, number, number, number]
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  return [
    address,
    `${address}.`,
    String(number),
    `0x${number.toString(16)}`,
    `0${number.toString(8)}`,
    bytes.map((byte) => `0x${byte.toString(16)}`).join('.'),
    bytes.map((byte) => `0${byte.toString(8)}`).join('.'),
    `${a}.${(b << 16) | (c << 8) | d}`,
    `${a}.${b}.${(c << 8) | d}`,
    address.replaceAll('.', '。'),
    address.replaceAll('.', '%2e'),
    address.replaceAll(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    address.replaceAll(/\d/g, (digit) => `%3${digit}`),
  ]
}

const refused = { code: 'URL_REFUSED' }

describe('what must not be dialled', () => {
  test('no spelling of a forbidden address is', async () => {
    const all = spellings()
    expect(all.length).toBeGreaterThan(600)
    const sender = localSender({ allow: [], connectTimeout: '20s' })
    const agent = open(safeAgent())
    const before = reached
    for (const host of all) {
      const url = `http://${host}:${port}/`
      const isUrl = URL.canParse(url)
      expect(checkUrl(url).allowed, url).toBe(false)
      expect(await post(sender, url), url).toMatchObject({ outcome: 'refused', remoteAddress: null, response: null })
      if (isUrl) await expect(ask(agent, url), url).rejects.toMatchObject(refused)
    }
    expect(reached).toBe(before)
  })

  test.each([
    ['one inside', ['127.0.0.1']],
    ['the first is public', ['8.8.8.8', '127.0.0.1']],
    ['the last is public', ['127.0.0.1', '8.8.8.8']],
    ['of the other family', ['8.8.8.8', '::1']],
    ['far behind', [...Array<string>(50).fill('8.8.8.8'), '10.0.0.1']],
    ['mapped', ['::ffff:127.0.0.1']],
    ['behind a NAT64', ['64:ff9b::127.0.0.1']],
    ['of a zone', ['fe80::1%lo']],
    ['no address', ['localhost']],
    ['nothing', ['']],
    ['metadata', ['169.254.169.254', 'fd00:ec2::254']],
  ])('a name with answers like these: %s', async (_, addresses) => {
    const before = reached
    const resolve = resolving(addresses)
    const url = `http://receiver.example:${port}/`
    expect(await post(localSender({ resolve, allow: [] }), url)).toMatchObject({ outcome: 'refused' })
    await expect(ask(open(safeAgent({ resolve })), url)).rejects.toMatchObject(refused)
    expect(reached).toBe(before)
  })

  test.each([
    ['example.com'],
    ['example.com.'],
    ['EXAMPLE.com'],
    ['bücher.example'],
    ['xn--bcher-kva.example'],
    ['例え。テスト'],
  ])('the name %s is asked for, and its answer judged', async (host) => {
    const asked: string[] = []
    const resolve: ResolveHost = (name) => (asked.push(name), resolving(['127.0.0.1'])(name))
    const before = reached
    expect(await post(localSender({ resolve, allow: [] }), `http://${host}:${port}/`)).toMatchObject({
      outcome: 'refused',
    })
    expect(asked).toEqual([new URL(`http://${host}/`).hostname])
    expect(reached).toBe(before)
  })

  test('a name that changes its mind: the address that was judged is the one that is dialled, each time', async () => {
    const good = await startReceiver({ host: '127.0.0.2', keepAliveMs: 1 })
    onTestFinished(() => good.close())
    good.answer({ status: 200, headers: { connection: 'close' } })
    let asked = 0
    // Its second answer comes as soon as somebody asks twice for one connection.
    const resolve: ResolveHost = () => resolving([asked++ === 0 ? '127.0.0.2' : '127.0.0.1'])('')
    const sender = localSender({ resolve, allow: ['127.0.0.2/32'] })
    const url = `http://rebinding.example:${new URL(good.url).port}/`
    expect(await post(sender, url)).toMatchObject({ outcome: 'success', remoteAddress: '127.0.0.2' })
    expect(asked).toBe(1)
    expect(await post(sender, url)).toMatchObject({ outcome: 'refused', error: 'loopback' })
    expect(good.received).toHaveLength(1)
  })

  test('who is there, is judged again: 0.0.0.0 is answered by 127.0.0.1', async () => {
    const local = await startReceiver()
    onTestFinished(() => local.close())
    const url = local.url.replace('127.0.0.1', '0.0.0.0')
    expect(await post(localSender({ allow: ['0.0.0.0/32'] }), url)).toMatchObject({
      outcome: 'refused',
      error: 'loopback',
    })
    expect(local.received).toEqual([])
  })

  test('a redirect that leads inside', async () => {
    const good = await startReceiver({ host: '127.0.0.2' })
    onTestFinished(() => good.close())
    const agent = open(safeAgent({ allow: ['127.0.0.2/32'] }))
    const before = reached
    for (const target of [
      `http://127.0.0.1:${port}/`,
      `http://localhost:${port}/`,
      `http://[::1]:${port}/`,
      `http://0:${port}/`,
    ]) {
      good.answer({ status: 307, headers: { location: target } })
      expect(await post(localSender({ allow: ['127.0.0.2/32'] }), good.url)).toMatchObject({
        outcome: 'redirect',
        status: 307,
      })
      const following = agent.compose(interceptors.redirect({ maxRedirections: 3 }))
      await expect(ask(following, good.url), target).rejects.toMatchObject(refused)
      await expect(fetch(good.url, { dispatcher: agent, method: 'POST' }), target).rejects.toMatchObject({
        cause: refused,
      })
    }
    expect(reached).toBe(before)
  })

  test.each([
    ['0x7f.1'],
    ['127。0。0。1'],
    ['[::1]'],
    ['::1'],
    ['::ffff:7f00:1'],
    ['fe80::1%lo'],
    ['localhost.'],
    ['127.0.0.1:80'],
    ['user@127.0.0.1'],
    ['127.0.0.1/path'],
    ['127.0.0.1?'],
    [''],
    ['a b'],
  ])('the connector alone refuses the host "%s"', async (hostname) => {
    const before = reached
    await expect(dial({ hostname, protocol: 'http:', port: String(port) })).rejects.toMatchObject(refused)
    expect(reached).toBe(before)
  })

  test('ports and schemes that are not allowed', async () => {
    const before = reached
    const allow = ['127.0.0.1/32']
    const url = `http://127.0.0.1:${port}/`
    for (const [o, reason] of [
      [{ allow, ports: [443] }, 'port'],
      [{ allow, httpsOnly: true }, 'not https'],
      [{ allow, deny: ['127.0.0.0/8'] }, 'denied'],
    ] satisfies [SafeAgentOptions, string][]) {
      expect(checkUrl(url, o)).toEqual({ allowed: false, reason })
      await expect(ask(open(safeAgent(o)), url)).rejects.toMatchObject({ ...refused, details: { reason } })
    }
    expect(checkUrl('https://example.com/', { ports: [443] }).allowed).toBe(true)
    expect(checkUrl('http://example.com/', { ports: [443] }).allowed).toBe(false)
    expect(reached).toBe(before)
  })

  test('an error tells a reason, no address and no name', async () => {
    const error = await ask(open(safeAgent({ resolve: resolving(['10.1.2.3']) })), 'http://inside.example/').catch(
      (e: unknown) => e,
    )
    expect(JSON.stringify(error)).toBe(
      '{"name":"WebhookError","code":"URL_REFUSED","message":"the URL is refused: private","retryable":false,"details":{"reason":"private"}}',
    )
  })
})

describe('what is allowed, is dialled', () => {
  const allow = ['127.0.0.0/8', '::1/128']
  test.each([
    ['127.0.0.1'],
    ['2130706433'],
    ['0x7f.1'],
    ['[::1]'],
    ['[::ffff:7f00:1]'],
    ['localhost'],
    ['a.localhost.'],
    ['127.9.9.9'],
  ])('%s', async (host) => {
    const before = reached
    expect(await post(localSender({ allow }), `http://${host}:${port}/`)).toMatchObject({
      outcome: 'success',
      status: 204,
    })
    expect((await ask(open(safeAgent({ allow })), `http://${host}:${port}/`)).statusCode).toBe(204)
    const through = new Pool(`http://127.0.0.1:${port}`, { connect: safeConnector({ allow }), allowH2: false })
    onTestFinished(() => through.destroy())
    expect((await through.request({ method: 'POST', path: '/' })).statusCode).toBe(204)
    expect(reached).toBe(before + 3)
  })

  test('a name, at the first of its addresses that is there, whatever the family', async () => {
    const only = await startReceiver({ host: '127.0.0.3' })
    onTestFinished(() => only.close())
    const resolve = resolving(['127.0.0.4', '::1', '127.0.0.3'])
    const sender = localSender({ resolve })
    const url = `http://receiver.example:${new URL(only.url).port}/`
    expect(await post(sender, url)).toMatchObject({ outcome: 'success', remoteAddress: '127.0.0.3' })
    expect((await only.next()).headers.host).toBe(new URL(url).host)
  })

  test('callers that ask for one name at once, ask once', async () => {
    let asked = 0
    const resolve: ResolveHost = (name) => (asked++, resolving(['127.0.0.1'])(name))
    const sender = localSender({ resolve })
    const url = `http://receiver.example:${port}/`
    const all = await Promise.all(Array.from({ length: 50 }, () => post(sender, url)))
    expect(all.every(({ outcome }) => outcome === 'success')).toBe(true)
    expect(asked).toBe(1)
  })

  test('an agent keeps nothing of origins that nobody uses', async () => {
    const agent = open(safeAgent({ allow }))
    for (let i = 1; i <= 100; i++) await ask(agent, `http://127.0.1.${i}:${port}/`)
    const stats = (): number => Object.keys((agent as unknown as { stats: object }).stats).length
    while (stats() > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  })

  test('an agent opens no more sockets to an origin than it may', async () => {
    const local = await startReceiver()
    onTestFinished(() => local.close())
    const agent = open(safeAgent({ allow, maxSocketsPerOrigin: 3 }))
    await Promise.all(Array.from({ length: 30 }, () => ask(agent, local.url)))
    expect(local.connections).toBeLessThanOrEqual(3)
  })
})

test.each([
  [{ ports: [0] }, 'ports'],
  [{ ports: 80 }, 'ports'],
  [{ proxy: 'socks5://proxy' }, 'proxy'],
  [{ proxy: 'http://proxy/path' }, 'proxy'],
  [{ proxy: 'proxy' }, 'proxy'],
  [{ connectTimeout: 0 }, 'connectTimeout'],
  [{ resolve: 'dns' }, 'resolve'],
  [{ maxSocketsPerOrigin: 0 }, 'maxSocketsPerOrigin'],
  [{ allowed: [] }, 'allowed'],
])('a bad option is refused: %o', (o, name) => {
  for (const make of [safeAgent, safeConnector])
    expect(() => make(o as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(`"${name}"`) }),
    )
})

function resolving(addresses: readonly string[]): ResolveHost {
  return () => Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
}

function open<D extends Dispatcher>(agent: D): D {
  onTestFinished(() => agent.destroy())
  return agent
}

function ask(agent: Dispatcher, url: string): Promise<Dispatcher.ResponseData> {
  const { origin, pathname: path } = new URL(url)
  return agent.request({ origin, path, method: 'POST' }).then(async (answer) => (await answer.body.dump(), answer))
}

function dial(target: { hostname: string; protocol: string; port: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    safeConnector()(target, (error, socket) => {
      socket?.destroy()
      if (error === null) resolve()
      else reject(error)
    })
  })
}
