import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entryOf } from '../../src/entry/read-entry.ts'
import { withoutSeal, withSeal } from '../../src/entry/seal-member.ts'
import { failure, id, made, nowMs } from './support.ts'

const leafOf = (bytes: Uint8Array) => createHash('sha256').update('\0').update(bytes).digest()

test('an entry is read as it was written', () => {
  const input = {
    actor: { type: 'service', id: 'billing', name: 'Billing', roles: ['a'] },
    target: { type: 'user', id: 'u_9', name: 'Ann' },
    reason: 'r',
    outcome: 'unknown',
    where: { ip: '::1', userAgent: 'a', session: 's', requestId: 'r', method: 'm', route: '/' },
    data: { a: [1] },
  }
  const { row } = made({ ...input, old: { a: 1 }, new: {} }, {}, { correlationId: 'c' })
  const leaf = leafOf(row.bytes)
  expect(entryOf({ leaf: { index: 7 }, bytes: row.bytes }, leaf)).toStrictEqual({
    id,
    index: 7,
    scope: 'acme',
    at: new Date(nowMs),
    action: 'user.update',
    ...input,
    changes: [{ path: '/a', old: 1 }],
    correlationId: 'c',
    sealed: [],
    leaf: leaf.toString('base64'),
    bytes: row.bytes,
  })
})

test('what is not there is absent', () => {
  const { row } = made()
  const entry = entryOf({ leaf: { index: 0 }, bytes: row.bytes }, leafOf(row.bytes))
  expect(entry).toMatchObject({ actor: { type: 'user', id: 'u_17' }, changes: [], data: {} })
  for (const member of ['target', 'where', 'reason', 'correlationId']) expect(entry).not.toHaveProperty(member)
})

test('other bytes are corrupt', () => {
  for (const bytes of ['', '{}', 'null', '{"audit":{"v":1}}']) {
    expect(() => entryOf({ leaf: { index: 0 }, bytes: Buffer.from(bytes) }, leafOf(Buffer.alloc(0)))).toThrow(
      failure('STORE_CORRUPT', 'an entry'),
    )
  }
})

test('a seal is the last member, and without it the hashed bytes are back', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.string({ unit: 'binary' }), (log, index, text) => {
      const { row, document } = made({ reason: text, data: { text, seal: { log, index, leaf: 'x' } } })
      const leaf = leafOf(row.bytes)
      const sealed = withSeal(row.bytes, { log, index, leaf })
      expect(JSON.parse(Buffer.from(sealed).toString())).toEqual({
        ...document,
        seal: { log: log.toWellFormed(), index, leaf: leaf.toString('base64') },
      })
      expect(Buffer.from(withoutSeal(sealed)).equals(row.bytes)).toBe(true)
      expect(() => withoutSeal(row.bytes)).toThrow(failure('INPUT_INVALID', 'does not end with a seal'))
    }),
  )
})

test('a seal that is not whole is none', () => {
  const { row } = made()
  const sealed = Buffer.from(withSeal(row.bytes, { log: 'main', index: 1, leaf: leafOf(row.bytes) }))
  for (let length = 0; length < sealed.length; length++) {
    expect(() => withoutSeal(sealed.subarray(0, length))).toThrow(failure('INPUT_INVALID', 'seal'))
  }
  expect(() => withoutSeal(Buffer.concat([sealed, Buffer.from(' ')]))).toThrow(failure('INPUT_INVALID', 'seal'))
})
