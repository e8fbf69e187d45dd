import type { Case } from '@keelson/kernel/conformance'
import { byKey, onPlace } from '../client-stage.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

const DEPTH = 90

function nested(depth: number): unknown {
  let value: unknown = 'the bottom'
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { in: value }
  return value
}

/** All that JSON can say. */
const VALUES: Readonly<Record<string, unknown>> = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  'a fraction': 0.1,
  'less than nothing': -1.5,
  'the largest integer': Number.MAX_SAFE_INTEGER,
  'the smallest integer': Number.MIN_SAFE_INTEGER,
  'a huge number': 1.7976931348623157e308,
  'a tiny number': 5e-324,
  'no text': '',
  'a text': 'Call back',
  'a number as text': '1',
  'text of other scripts': 'Zürich, Łódź, 東京, Ελλάδα, שלום',
  'text beyond 16 bits': '😀🏳️‍🌈',
  'one letter, and the same of two': ['\u00e9', 'e\u0301'],
  'text with what is written otherwise in JSON': '"\\/\b\f\n\r\t\u0000\u001e\u2028\u2029',
  'half a letter': ['\ud83d', '\ude00', '\ude00\ud83d'],
  'an empty array': [],
  'an empty object': {},
  'an array': [1, 'two', [3, null], { four: [] }],
  'an object': { title: 'Call back', done: false, due: null, tags: ['a', 'b'], by: { id: 'ann', '': 0, 'a b': 1 } },
  'members like those of all objects': { toString: 1, hasOwnProperty: 2, length: 3 },
  'deep down': nested(DEPTH),
  'what looks like a date': '2026-01-01T00:00:00.000Z',
}

/** Whatever a key may be made of. */
const KEYS = [
  'a',
  'A',
  ' a',
  'a ',
  '1',
  '01',
  '10',
  'rec/task/t1',
  'key with "quotes", \\ and / and [brackets]',
  'line\nfeed',
  'nothing\u0000behind',
  'a mark\u001e',
  '\u00e9',
  'e\u0301',
  '東京',
  '😀',
  '__proto__',
  'constructor',
  'toString',
  '%2F',
  '..',
  'x'.repeat(1_000),
  `${'x'.repeat(1_000)}y`,
]

export const valueCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace('a new place has nothing', async ({ load, read, equal }) => {
    const { store, found } = await load()
    equal(found, [])
    equal(await read(store, 'a', 'b'), [undefined, undefined])
  }),

  onPlace('every value of JSON is read as it was written', async ({ open, read, write, equal }) => {
    const store = await open()
    await write(store, ...Object.entries(VALUES))
    const names = Object.keys(VALUES)
    const seen = await read(store, ...names)
    for (const [i, name] of names.entries()) equal(seen[i], VALUES[name], name)
  }),

  onPlace(
    'every value of JSON is loaded as it was written',
    async ({ open, load, write, equal }) => {
      const store = await open()
      await write(store, ...Object.entries(VALUES))
      await store.close()
      const loaded = new Map((await load()).found)
      equal(loaded.size, Object.keys(VALUES).length)
      for (const [name, value] of Object.entries(VALUES)) equal(loaded.get(name), value, name)
    },
    'kept',
  ),

  onPlace('a key is any text, and no other one', async ({ open, read, write, equal }) => {
    const store = await open()
    for (const [i, key] of KEYS.entries()) await write(store, [key, i])
    for (const [i, key] of KEYS.entries()) equal(await read(store, key), [i], JSON.stringify(key.slice(0, 50)))
    await write(store, ['a', undefined])
    for (const [i, key] of KEYS.entries())
      if (key !== 'a') equal(await read(store, key), [i], JSON.stringify(key.slice(0, 50)))
  }),

  onPlace(
    'keys are loaded as they were written',
    async ({ open, load, write, equal }) => {
      const store = await open()
      const entries = KEYS.map((key, i) => [key, i] as const)
      await write(store, ...entries)
      await store.close()
      equal((await load()).found, byKey(entries))
    },
    'kept',
  ),

  onPlace('a value of a million characters is one', async ({ open, read, write, equal, ok }) => {
    const store = await open()
    const text = 'ä😀 "x" '.repeat(125_000)
    await write(store, ['long', { text }], ['short', 1])
    const [long, short] = await read(store, 'long', 'short')
    ok((long as { text: string }).text === text, 'the text is another one')
    equal(short, 1)
  }),

  onPlace(
    'a value of a million characters is loaded',
    async ({ open, load, write, equal, ok }) => {
      const store = await open()
      const text = 'ä😀 "x" '.repeat(125_000)
      await write(store, ['long', { text }])
      await write(store, ['short', 1])
      await store.close()
      const [[key, value], last] = (await load()).found as [[string, { text: string }], unknown]
      equal(key, 'long')
      ok(value.text === text, 'the text is another one')
      equal(last, ['short', 1])
    },
    'kept',
  ),

  onPlace('what was read stays as it was', async ({ open, read, write, equal }) => {
    const store = await open()
    await write(store, ['a', { n: 1, list: [1] }])
    const [before] = await read(store, 'a')
    await write(store, ['a', { n: 2, list: [1, 2] }])
    equal(before, { n: 1, list: [1] })
    equal(await read(store, 'a'), [{ n: 2, list: [1, 2] }])
  }),
]
