import { expect, test } from 'vitest'
import { checkNetwork } from '../src/network-options.ts'

test('the defaults', () => {
  expect(checkNetwork('test')).toEqual({
    allow: [],
    deny: [],
    ports: undefined,
    httpsOnly: true,
    connectTimeout: 5_000,
    resolve: undefined,
    proxy: undefined,
    maxSocketsPerOrigin: Infinity,
    timeout: 15_000,
    maxResponseBytes: 65_536,
    keepResponseBytes: 16_384,
    userAgent: 'Keelson-Webhooks',
  })
})

test.each([
  [{ timeout: '61s' }, 'timeout'],
  [{ timeout: 0 }, 'timeout'],
  [{ maxResponseBytes: -1 }, 'maxResponseBytes'],
  [{ keepResponseBytes: 1.5 }, 'keepResponseBytes'],
  [{ userAgent: 'a\r\nb' }, 'userAgent'],
  [{ userAgent: '' }, 'userAgent'],
  [{ maxSockets: 1 }, 'maxSockets'],
])('%o is refused', (given, name) => {
  expect(() => checkNetwork('test', given as never)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(`"${name}"`) }),
  )
})
