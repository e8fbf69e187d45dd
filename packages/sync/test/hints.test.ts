import { expect, test } from 'vitest'
import { createHints } from '../src/hints.ts'

const soon = <T>(look: () => T) => expect.poll(look, { timeout: 30_000 })

test('one sending at a time; what comes meanwhile goes with the next, once, and at most so much', async () => {
  const sent: (readonly string[])[] = []
  const gates: PromiseWithResolvers<void>[] = []
  const hints = createHints((texts) => {
    sent.push(texts)
    gates.push(Promise.withResolvers())
    return gates.at(-1)!.promise
  }, 8_000)
  const reader = createHints(async () => {}, 8_000)
  const read = (i: number) => sent[i]!.flatMap((text) => reader.read(text))

  hints.tell(['a'])
  for (let i = 0; i < 100; i++) hints.tell(['b', 'c'])
  expect([sent.length, read(0)]).toEqual([1, ['a']])
  gates[0]!.reject(new Error('away'))
  await soon(() => sent.length).toBe(2)
  expect(read(1)).toEqual(['b', 'c'])

  const many = Array.from({ length: 20_000 }, (_, i) => `${i} ${'ü'.repeat(60)}`.slice(0, 60))
  hints.tell(many)
  gates[1]!.resolve()
  await soon(() => sent.length).toBe(3)
  expect(read(2)).toEqual(many.slice(0, 10_000))
  for (const text of sent[2]!) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8_000)
  // As few as can be: each but the last is nearly full.
  for (const text of sent[2]!.slice(0, -1)) expect(Buffer.byteLength(text)).toBeGreaterThan(8_000 - 130)
  expect(sent[2]!.flatMap((text) => hints.read(text))).toEqual([])
})

test('who cannot even begin to send costs nothing', async () => {
  let tries = 0
  const hints = createHints(() => {
    tries++
    throw new Error('no')
  }, 100)
  hints.tell(['a'])
  await soon(() => tries).toBe(1)
  hints.tell(['a'])
  await soon(() => tries).toBe(2)
})
