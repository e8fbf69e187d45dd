import { describe, expect, it } from 'vitest'
import { bodyTap } from '@keelson/http/adapter'

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe('a body tap', () => {
  it('answers the whole body, asked before or after its end, the same bytes each time', async () => {
    const tap = bodyTap(100)
    const early = tap.bytes()
    expect(tap.wanted).toBe(true)
    tap.chunk(bytes('ab'))
    tap.chunk(bytes('cd'))
    tap.end()
    expect(tap.wanted).toBe(false)
    expect(Buffer.from(await early).toString()).toBe('abcd')
    expect(await tap.bytes()).toBe(await early)
  })

  it('refuses a body over its limit with 413, only where its bytes are asked for', async () => {
    const tap = bodyTap(3)
    tap.chunk(bytes('abc'))
    tap.chunk(bytes('d'))
    tap.end()
    await expect(tap.bytes()).rejects.toMatchObject({ status: 413, code: 'body-too-large' })
  })

  it('refuses a body that ends early with 400, and one that it did not see with the way out', async () => {
    const cut = bodyTap(3)
    const waiting = cut.bytes()
    cut.abort()
    cut.end()
    await expect(waiting).rejects.toMatchObject({ status: 400, code: 'body-incomplete' })
    const late = bodyTap(3)
    late.miss()
    await expect(late.bytes()).rejects.toMatchObject({
      code: 'RAW_BODY_UNAVAILABLE',
      message: /app\.use\(k\.context\(\)/,
    })
  })
})
