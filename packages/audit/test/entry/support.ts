import fc from 'fast-check'
import { expect } from 'vitest'
import type { Row } from '@keelson/audit'
import { createEntryMaker, type MadeAt } from '../../src/entry/make-entry.ts'
import type { EntryOptions } from '../../src/entry/options.ts'

export const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
export const id = '019b7a3c-8d3e-7a01-9c3f-0123456789ab'
export const base = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } } as const

export const privacy = {
  secrets: [Buffer.alloc(32, 1).toString('base64')],
  pseudonym: Buffer.alloc(32, 9).toString('base64'),
}

/** One entry of `base` and what it is given. */
export function made(input: object = {}, options: EntryOptions = {}, at: Partial<MadeAt> = {}) {
  const { row, facts } = createEntryMaker({ privacy, ...options })({ ...base, id, ...input }, { nowMs, ...at })
  return { row, facts, text: textOf(row), document: documentOf(row) }
}

export const textOf = (row: Row): string => Buffer.from(row.bytes).toString()
const documentOf = (row: Row) => JSON.parse(textOf(row)) as Record<string, any>

export const failure = (code: string, message: RegExp | string) =>
  expect.objectContaining({
    name: 'AuditError',
    code,
    message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
  })

/** Issuers' first digits with a length that they use. */
const ISSUERS: readonly (readonly [prefix: string, length: number])[] = [
  ['4', 13],
  ['4', 16],
  ['4', 19],
  ['51', 16],
  ['55', 16],
  ['2221', 16],
  ['2720', 16],
  ['34', 15],
  ['37', 15],
  ['6011', 16],
  ['645', 16],
  ['65', 19],
  ['3528', 16],
  ['3589', 19],
  ['305', 14],
  ['36', 14],
  ['39', 19],
  ['62', 16],
  ['62', 19],
  ['81', 17],
  ['5018', 13],
  ['5893', 16],
  ['6304', 18],
  ['6763', 19],
  ['2204', 16],
  ['9792', 16],
]

/** Digits of a card number that passes Luhn. */
export const cardNumbers = fc
  .tuple(fc.constantFrom(...ISSUERS), fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 19, maxLength: 19 }))
  .map(([[prefix, length], more]) => withLuhn((prefix + more.join('')).slice(0, length - 1)))

/** With single spaces and hyphens anywhere. */
export const spacedCards = fc
  .tuple(cardNumbers, fc.array(fc.constantFrom('', '', '', ' ', '-'), { minLength: 19, maxLength: 19 }))
  .map(([digits, between]) => [...digits].map((digit, i) => (i === 0 ? '' : between[i]) + digit).join(''))

function withLuhn(digits: string): string {
  const sum = [...digits].toReversed().reduce((all, digit, i) => {
    const n = Number(digit) * (i % 2 === 0 ? 2 : 1)
    return all + (n > 9 ? n - 9 : n)
  }, 0)
  return `${digits}${(10 - (sum % 10)) % 10}`
}
