import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHttp, type RoutePolicy } from '@keelson/http'
import { exchange, problemOf, recordingLogger } from './support.ts'

const TRUSTED = ['10.0.0.0/8', '::1', 'fd00::/8']

/** What a route for `allowIps` answers a client behind these proxies; undefined: it may pass. */
async function asked(
  allowIps: readonly string[],
  { remoteAddress = '192.0.2.1', forwarded = undefined as string | undefined, trustProxy = TRUSTED } = {},
): Promise<number | undefined> {
  const http = createHttp({ trustProxy })
  const x = exchange({ remoteAddress, headers: forwarded === undefined ? [] : [['X-Forwarded-For', forwarded]] })
  http.begin(x)
  const answer = await http.compile({ allowIps }).early(x)
  if (answer !== undefined) expect(problemOf(answer)).toMatchObject({ status: 403, code: 'address-refused' })
  return answer?.status
}

describe('allowIps', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.2', '192.0.2.1', false],
    ['192.0.2.255', '192.0.2.0/24', true],
    ['192.0.3.0', '192.0.2.0/24', false],
    ['203.0.113.7', '0.0.0.0/0', true],
    ['::ffff:192.0.2.1', '192.0.2.1', true],
    ['::ffff:c000:201', '192.0.2.1', true],
    ['::FFFF:C000:0201', '192.0.2.0/24', true],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1', true],
    ['::ffff:c000:201', '::/0', false],
    ['::ffff:0:c000:201', '192.0.2.1', false],
    ['192.0.2.1', '::ffff:c000:200/120', true],
    ['192.0.3.1', '::ffff:c000:200/120', false],
    ['192.0.2.1', '::ffff:192.0.2.0/120', true],
    ['192.0.3.1', '::ffff:192.0.2.0/120', false],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:DB8:0:0::1', '2001:db8::1', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['192.0.2.1', '::/0', false],
    ['', '0.0.0.0/0', false],
    ['a unix socket', '0.0.0.0/0', false],
  ])('%s in %s: %s', async (remoteAddress, range, passes) => {
    expect(await asked([range], { remoteAddress })).toBe(passes ? undefined : 403)
  })
})

describe('the address of a client', () => {
  it.each([
    ['believes nobody by default', '192.0.2.1', '203.0.113.7', [], '192.0.2.1'],
    ['believes no stranger', '192.0.2.1', '203.0.113.7', TRUSTED, '192.0.2.1'],
    ['believes a proxy', '10.0.0.1', '203.0.113.7', TRUSTED, '203.0.113.7'],
    ['believes a proxy in v6 form', '::ffff:10.0.0.1', '203.0.113.7', TRUSTED, '203.0.113.7'],
    ['goes through proxies from right to left', '10.0.0.1', '203.0.113.7, 10.0.0.2, fd00::3', TRUSTED, '203.0.113.7'],
    ['stops at the first stranger', '10.0.0.1', '198.51.100.9, 203.0.113.7, 10.0.0.2', TRUSTED, '203.0.113.7'],
    ['is that of the outermost proxy when all are', '10.0.0.1', '10.0.0.3, 10.0.0.2', TRUSTED, '10.0.0.3'],
    ['is that of the socket without a header', '10.0.0.1', undefined, TRUSTED, '10.0.0.1'],
    ['believes a proxy on a Unix socket', 'unix', '203.0.113.7', ['unix'], '203.0.113.7'],
    ['goes from a Unix socket on', 'unix', '203.0.113.7, 10.0.0.2', ['unix', ...TRUSTED], '203.0.113.7'],
    ['is no Unix socket by a header', '10.0.0.1', '203.0.113.7, unix', ['unix', ...TRUSTED], '10.0.0.1'],
    ['reads ports', '::1', '[2001:db8::7]:443, 10.0.0.1:8080', TRUSTED, '2001:db8::7'],
    ['stops at what it cannot read', '10.0.0.1', '203.0.113.7, unknown, 10.0.0.2', TRUSTED, '10.0.0.2'],
    ['is not read behind a port that is none', '10.0.0.1', '203.0.113.7:99999', TRUSTED, '10.0.0.1'],
    ['is not read behind a port of letters', '10.0.0.1', '[2001:db8::7]:x', TRUSTED, '10.0.0.1'],
    ['reads the last port', '10.0.0.1', '203.0.113.7:65535', TRUSTED, '203.0.113.7'],
    ['is not found in an empty header', '10.0.0.1', '', TRUSTED, '10.0.0.1'],
  ] as const)('%s', async (_, remoteAddress, forwarded, trustProxy, address) => {
    const given = { remoteAddress, forwarded: forwarded as string | undefined, trustProxy: [...trustProxy] }
    expect(await asked([address], given)).toBeUndefined()
  })

  it('is none behind a Unix socket that is not named, nor behind a socket of which nobody knows', async () => {
    const forwarded = '203.0.113.7'
    expect(await asked([forwarded], { remoteAddress: 'unix', forwarded })).toBe(403)
    expect(await asked([forwarded], { remoteAddress: '', forwarded, trustProxy: ['unix', '0.0.0.0/0'] })).toBe(403)
  })

  it('is one of the socket or of a header behind a proxy, whatever is in it, and never throws', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom(...'10.2:[]%,/ f'), maxLength: 40 }), async (forwarded) => {
        expect(await asked(['192.0.2.1'], { forwarded })).toBeUndefined()
        expect([undefined, 403]).toContain(await asked(['10.0.0.1'], { remoteAddress: '10.0.0.1', forwarded }))
      }),
    )
  })

  it('counts a header that nobody can read', async () => {
    const http = createHttp({ trustProxy: TRUSTED, logger: recordingLogger() })
    const x = exchange({ remoteAddress: '10.0.0.1', headers: [['x-forwarded-for', 'me']] })
    http.begin(x)
    await http.compile({ allowIps: ['10.0.0.1'] }).early(x)
    const bad = http.metrics().find(({ name }) => name === 'keelson_http_bad_headers_total')
    expect(bad?.samples).toEqual([{ name: bad?.name, labels: { header: 'x-forwarded-for' }, value: 1 }])
  })
})

describe('a range that is none is refused', () => {
  const bad = [
    '',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.4/',
    '1.2.3.4/-1',
    '1.2.3.4/8/8',
    '1.2.3.4/08',
    '1.2.3.4/+8',
    '::/00',
    '::1/129',
    '::ffff:1.2.3.4/95',
    'localhost',
  ]
  it.each(bad)('%s', (range) => {
    const message = /must be an array of addresses and CIDR ranges/
    expect(() => createHttp({ trustProxy: [range] })).toThrow(message)
    expect(() => createHttp().compile({ allowIps: [range] })).toThrow(message)
  })

  it('no range at all too, where it would let nobody pass', () => {
    expect(() => createHttp().compile({ allowIps: [] })).toThrow(/"allowIps" must be .*, at least one/)
    expect(() => createHttp({ trustProxy: [] })).not.toThrow()
  })

  it('a single text too', () => {
    expect(() => createHttp().compile({ allowIps: '10.0.0.1' } as unknown as RoutePolicy)).toThrow(
      /"allowIps" must be an array/,
    )
  })
})
