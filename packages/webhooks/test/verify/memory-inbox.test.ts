import fc from 'fast-check'
import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'
import { memoryInbox } from '../../src/verify/index.ts'

const nothing = async (): Promise<void> => {}
const call = (key: string, retain?: number) => ({
  scope: 'a',
  op: 'o',
  key,
  ...(retain === undefined ? {} : { retain }),
})

test('a key is remembered for three days, or as long as the call says', async () => {
  const clock = virtualClock()
  const inbox = memoryInbox({ clock })
  await inbox.consume(call('long'), nothing)
  await inbox.consume(call('short', 1000), nothing)
  await clock.advance(999)
  expect(await inbox.consume(call('short'), nothing)).toBe('duplicate')
  await clock.advance(1)
  expect(await inbox.consume(call('short', 1), nothing)).toBe('processed')
  await clock.advance(3 * 86_400_000 - 1001)
  expect(await inbox.consume(call('long'), nothing)).toBe('duplicate')
  await clock.advance(1)
  expect(await inbox.consume(call('long'), nothing)).toBe('processed')
})

test('it is remembered from the end of its work, by a clock that never jumps', async () => {
  const clock = virtualClock()
  const inbox = memoryInbox({ retain: '1m', clock })
  await inbox.consume(call('a'), () => clock.advance('1h'))
  clock.jumpWall(86_400_000)
  await clock.advance(59_999)
  expect(await inbox.consume(call('a'), nothing)).toBe('duplicate')
})

test('scope, op and key together are the key, wherever one ends', async () => {
  const inbox = memoryInbox()
  const calls = [
    ['a', 'b', 'c'],
    ['a', 'bc', ''],
    ['ab', '', 'c'],
    ['a"', 'b', 'c'],
    ['a', '","b', 'c'],
  ] as const
  for (const [scope, op, key] of calls) expect(await inbox.consume({ scope, op, key }, nothing)).toBe('processed')
})

test('with max keys the oldest go, but those that have ended first; what is at work stays', async () => {
  const clock = virtualClock()
  const inbox = memoryInbox({ max: 3, clock })
  await inbox.consume(call('a'), nothing)
  await inbox.consume(call('ended', 10), nothing)
  await inbox.consume(call('b'), nothing)
  await clock.advance(10)
  await inbox.consume(call('c'), nothing)
  for (const key of ['a', 'b', 'c']) expect(await inbox.consume(call(key), nothing)).toBe('duplicate')
  await inbox.consume(call('d'), nothing)
  expect(await inbox.consume(call('d'), nothing)).toBe('duplicate')
  expect(await inbox.consume(call('b'), nothing)).toBe('duplicate')
  expect(await inbox.consume(call('a'), nothing)).toBe('processed')

  const full = memoryInbox({ max: 2 })
  let leave = (): void => {}
  const left = new Promise<void>((resolve) => (leave = resolve))
  const working = ['x', 'y'].map((key) => full.consume(call(key), () => left))
  expect(await full.consume(call('z'), () => expect.unreachable())).toEqual({ busy: 1000 })
  leave()
  expect(await Promise.all(working)).toEqual(['processed', 'processed'])
  expect(await full.consume(call('z'), nothing)).toBe('processed')
})

test('it never holds more than max, and never forgets what is newer than what it has', async () => {
  const keys = fc.array(fc.nat(40).map(String), { maxLength: 200 })
  await fc.assert(
    fc.asyncProperty(keys, fc.integer({ min: 1, max: 10 }), async (keys, max) => {
      const inbox = memoryInbox({ max })
      let model: string[] = []
      for (const key of keys) {
        const known = model.includes(key)
        expect(await inbox.consume(call(key), nothing)).toBe(known ? 'duplicate' : 'processed')
        if (!known) model = [...model, key].slice(-max)
      }
    }),
  )
})

test('bad options', () => {
  for (const wrong of [{ max: 0 }, { retain: 'soon' }, { clock: {} }, { ttl: 1 }]) {
    expect(() => memoryInbox(wrong as object)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  }
})
