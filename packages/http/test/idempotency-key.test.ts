import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isHttpProblem, parseIdempotencyKey, parseStringItem } from '@keelson/http'
import { malformedKeys } from './keys.ts'

/** RFC 9651, section 4.2, character by character: another reading of the same grammar. */
function referenceKey(line: string): string | undefined {
  let at = 0
  const rest = (): string => line.slice(at)
  const spaces = (): void => {
    while (line[at] === ' ') at++
  }
  const accept = (pattern: RegExp): string | undefined => {
    const found = new RegExp(`^(?:${pattern.source})`).exec(rest())?.[0]
    at += found?.length ?? 0
    return found
  }
  const string = (): string | undefined => {
    if (line[at] !== '"') return undefined
    let value = ''
    for (at++; at < line.length; at++) {
      const char = line[at]!
      if (char === '"') return (at++, value)
      if (char === '\\') {
        const next = line[++at]
        if (next !== '"' && next !== '\\') return undefined
        value += next
      } else if (char < ' ' || char > '~') return undefined
      else value += char
    }
    return undefined
  }
  const item = (): boolean => {
    switch (true) {
      case line[at] === '"':
        return string() !== undefined
      case /[-\d]/.test(line[at] ?? ''): {
        const number = accept(/-?\d+(\.\d*)?/)
        const [, whole = '', dot, decimals = ''] = /^-?(\d*)(\.?)(\d*)$/.exec(number ?? '') ?? []
        if (whole === '') return false
        return dot === '' ? whole.length <= 15 : whole.length <= 12 && decimals.length >= 1 && decimals.length <= 3
      }
      case line[at] === '?':
        return accept(/\?[01]/) !== undefined
      case line[at] === ':':
        return accept(/:[A-Za-z0-9+/=]*:/) !== undefined
      case line[at] === '@':
        return accept(/@-?\d{1,15}(?![\d.])/) !== undefined
      case line[at] === '%': {
        const bytes: number[] = []
        if (line[++at] !== '"') return false
        for (at++; at < line.length; at++) {
          if (line[at] === '"') {
            at++
            return Buffer.from(Buffer.from(bytes).toString()).equals(Buffer.from(bytes))
          }
          if (line[at]! < ' ' || line[at]! > '~') return false
          if (line[at] !== '%') bytes.push(line.charCodeAt(at))
          else if (!/^%[0-9a-f]{2}/.test(rest())) return false
          else bytes.push(Number.parseInt(line.slice(at + 1, (at += 2) + 1), 16))
        }
        return false
      }
      default:
        return accept(/[A-Za-z*][!#$%&'*+\-.^_`|~\w:/]*/) !== undefined
    }
  }
  spaces()
  if (line[at] !== '"') {
    const isBare = [...line].every((char) => char > ' ' && char <= '~' && char !== ',' && char !== '"')
    return isBare && line.length >= 1 && line.length <= 255 ? line : undefined
  }
  const key = string()
  if (key === undefined) return undefined
  while (line[at] === ';') {
    at++
    spaces()
    if (accept(/[a-z*][a-z0-9_\-.*]*/) === undefined) return undefined
    if (line[at] !== '=') continue
    at++
    if (!item()) return undefined
  }
  spaces()
  return at === line.length && key.length >= 1 && key.length <= 255 ? key : undefined
}

function parsed(lines: readonly string[]): string | undefined {
  try {
    return parseIdempotencyKey(lines)
  } catch (error) {
    if (isHttpProblem(error) && error.status === 400 && error.code === 'key-malformed') return undefined
    throw error
  }
}

describe('the idempotency key', () => {
  it.each(malformedKeys)('refuses $name', ({ lines }) => {
    expect(() => parseIdempotencyKey(lines)).toThrow(expect.objectContaining({ status: 400, code: 'key-malformed' }))
  })

  it.each([
    ['abc', 'abc'],
    ['"abc"', 'abc'],
    ['  "abc"  ', 'abc'],
    ['8e03978e-40d5-43e8-bc93-6894a57f9324', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    ['"a b,c"', 'a b,c'],
    [String.raw`"a\"b\\c"`, String.raw`a"b\c`],
    ['"abc";a;b=?1;c=1.5;d="x;\\"y";e=tok/en;f=:YWJj:;g=@1659578233;h=%"f%c3%bc"', 'abc'],
    ['"abc"; a=-1;  b', 'abc'],
    ['"abc";a="%ff=%\\"%ff"', 'abc'],
    [`"${'k'.repeat(255)}"`, 'k'.repeat(255)],
    ['k'.repeat(255), 'k'.repeat(255)],
    ["a'b;c=d", "a'b;c=d"],
    [String.raw`a\b`, String.raw`a\b`],
  ])('reads %s', (line, key) => {
    expect(parseIdempotencyKey([line])).toBe(key)
  })

  it('says that a key is missing when no line came', () => {
    expect(() => parseIdempotencyKey([])).toThrow(expect.objectContaining({ status: 400, code: 'key-missing' }))
  })

  it('reads any header value as the reference grammar does, or refuses it', () => {
    const near = fc.string({ unit: fc.constantFrom(...'"\\;=,a1*A.?:@% -~\t\u00fc\u007f_/'), maxLength: 30 })
    const item = fc.tuple(near, near).map(([text, parameters]) => `"${text}";a=${parameters}`)
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      near,
      near.map((text) => `"${text}"`),
      item,
    )
    fc.assert(
      fc.property(value, (line) => {
        expect(parsed([line])).toBe(referenceKey(line))
      }),
      { numRuns: 5_000 },
    )
  })

  it('reads both forms of one text as one key', () => {
    const bare = fc
      .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 255 })
      .filter((text) => !/[ ,"]/.test(text))
    fc.assert(
      fc.property(bare, (text) => {
        expect(parseIdempotencyKey([text])).toBe(text)
        expect(parseIdempotencyKey([`"${text.replaceAll('\\', '\\\\')}"`])).toBe(text)
      }),
    )
  })

  it('answers hostile input in linear time', () => {
    // What the machine takes from the process is none of it.
    const start = process.cpuUsage()
    for (const part of ['\\"', ';a', ';a="', ';a=%"%c3', ' ', '1.']) {
      for (const end of ['', '"', '\u0000']) parsed([`"${part.repeat(8_000)}${end}`])
      parsed([`"x"${part.repeat(8_000)}\u0000`])
    }
    const { user, system } = process.cpuUsage(start)
    expect((user + system) / 1_000).toBeLessThan(2_000)
  })
})

describe('parseStringItem', () => {
  it('reads a String of any length and drops its parameters', () => {
    expect(parseStringItem('"";a=1')).toBe('')
    expect(parseStringItem(`"${'x'.repeat(1_000)}"`)).toHaveLength(1_000)
  })

  it.each(['abc', '?1', '"a', '("a")', '"a", "b"'])('refuses %s with 400', (raw) => {
    expect(() => parseStringItem(raw)).toThrow(expect.objectContaining({ status: 400, code: 'header-malformed' }))
  })
})
