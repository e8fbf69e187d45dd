import { expect, test } from 'vitest'
import { readArguments } from '../../src/cli/arguments.ts'
import { anyPlaceOf, placeOf } from '../../src/cli/place.ts'
import { indexOf, instantOf, partyOf, wordOf } from '../../src/cli/values.ts'

const read = (...argv: string[]) => readArguments(argv, ['dir', 'key', 'json', 'help'])

test('options and operands are read in any order', () => {
  expect(read('list', '--dir', 'a b', '--json', '--key=x', '--key', 'y', '--', '--dir')).toEqual({
    flags: { dir: 'a b', json: true, key: ['x', 'y'] },
    operands: ['list', '--dir'],
  })
  expect(read('--dir=-x').flags.dir).toBe('-x')
  expect(read('-h').flags.help).toBe(true)
})

test.each([
  [['--kez', 'x'], 'unknown option --kez; allowed are --dir, --key, --json, --help'],
  [['-k'], 'unknown option -k; allowed are'],
  [['--dir'], '--dir DIR needs a value: the folder of a fileStore'],
  [['--dir', '--json'], '--dir DIR needs a value'],
  [['--dir='], '--dir DIR needs a value'],
  [['--dir', 'a', '--dir', 'b'], "--dir is given twice ('a' and 'b')"],
  [['--json=yes'], "--json is a switch and takes no value (got 'yes')"],
])('%j is refused', (argv, message) => {
  expect(() => read(...argv)).toThrow(message)
})

test('a log is at one place', () => {
  const url = 'postgres://u:secret@db/app'
  expect(placeOf({ dir: 'a' }, { DATABASE_URL: url })).toEqual({ kind: 'dir', dir: 'a', log: 'main' })
  expect(placeOf({ log: 'b' }, { DATABASE_URL: url })).toEqual({ kind: 'postgres', url, schema: 'keelson', log: 'b' })
  expect(placeOf({ 'database-url': url, schema: 's' }, {})).toMatchObject({ url, schema: 's' })
  expect(anyPlaceOf({ tiles: 't' }, { DATABASE_URL: url })).toEqual({ kind: 'tiles', dir: 't' })
  expect(() => placeOf({}, {})).toThrow('a place is needed: --dir DIR or --database-url URL, or DATABASE_URL')
  expect(() => anyPlaceOf({}, {})).toThrow('a place is needed: --tiles DIR, --dir DIR')
  expect(() => placeOf({ dir: 'a', 'database-url': url }, {})).toThrow('one place is needed')
  expect(() => placeOf({ dir: 'a', schema: 's' }, {})).toThrow('--schema')
  expect(() => anyPlaceOf({ tiles: 't', log: 'b' }, {})).toThrow('--log does not go with it')
  expect(() => placeOf({ 'database-url': 'mysql://u:secret@db' }, {})).toThrow(
    /^--database-url must begin with postgres:\/\/$/,
  )
})

test('values mean one thing, or are refused', () => {
  expect(partyOf('actor', 'user:a:b')).toEqual({ type: 'user', id: 'a:b' })
  expect(partyOf('actor', 'user')).toEqual({ type: 'user' })
  expect(() => partyOf('actor', ':x')).toThrow("--actor must be TYPE or TYPE:ID such as user:u_17 (got ':x')")
  expect(instantOf('from', '2026-01-31')).toEqual(new Date('2026-01-31T00:00:00Z'))
  expect(instantOf('from', '2026-01-31T12:00+02:00')).toEqual(new Date('2026-01-31T10:00:00Z'))
  // Of no zone: another moment on each machine. Of no month: JavaScript would take the next.
  for (const none of ['yesterday', '2026-01-31T12:00:00', '2026-02-30', '2026-02-30T00:00:00Z', '2026-13-01', '']) {
    expect(() => instantOf('to', none)).toThrow(`(got '${none}')`)
  }
  expect(indexOf('pruned', '256')).toBe(256)
  expect(() => indexOf('pruned', '-1')).toThrow('--pruned must be an index')
  expect(() => wordOf('order', 'up', ['desc', 'asc'])).toThrow("--order must be desc or asc (got 'up')")
})
