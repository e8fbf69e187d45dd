import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkOptions,
  KeelsonError,
  KernelError,
  opt,
  silentLogger,
  systemClock,
  type Clock,
  type OptionSpec,
} from '../src/index.ts'

const SPEC = {
  lease: opt.duration('15s', { min: '100ms', max: '1h' }),
  timeout: opt.duration(),
  retries: opt.integer(2, { max: 100 }),
  mode: opt.oneOf(['auto', 'legacy'], 'auto'),
  strict: opt.boolean(false),
  schema: opt.string('keelson', { match: /^[a-z]+$/ }),
  label: opt.string(undefined, { allowed: 'a short name' }),
  onLost: opt.fn<() => void>(),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  even: opt.custom('an even number', (given) => typeof given === 'number' && given % 2 === 0, 4),
  logger: opt.logger(),
  waiters: opt.group({ perKey: opt.integer(100), total: opt.integer(5_000, { min: 1 }) }),
}

const failure = (given: unknown, spec: OptionSpec = SPEC): string => {
  try {
    checkOptions('createX', given, spec)
  } catch (error) {
    expect(error).toMatchObject({ name: 'KernelError', code: 'OPTION_INVALID', retryable: false })
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}

test('defaults fill in what is missing, durations as ms', () => {
  const defaults = {
    lease: 15_000,
    timeout: undefined,
    retries: 2,
    mode: 'auto',
    strict: false,
    schema: 'keelson',
    label: undefined,
    onLost: undefined,
    clock: systemClock,
    even: 4,
    logger: silentLogger,
    waiters: { perKey: 100, total: 5_000 },
  }
  expect(checkOptions('createX', {}, SPEC)).toEqual(defaults)
  expect(checkOptions('createX', undefined, SPEC)).toEqual(defaults)
  expect(checkOptions('createX', { lease: undefined, waiters: { perKey: undefined } }, SPEC)).toEqual(defaults)
})

test('what is given wins, also inside a group', () => {
  const given = {
    lease: '1m',
    timeout: 5,
    retries: 0,
    mode: 'legacy',
    strict: true,
    schema: 'a',
    waiters: { total: 1 },
  }
  expect(checkOptions('createX', given, SPEC)).toMatchObject({
    ...given,
    lease: 60_000,
    waiters: { perKey: 100, total: 1 },
  })
})

const DURATION = "a Duration such as 250, '250ms', '5s'"

describe('every message names owner, option, what is allowed and what came', () => {
  test.each<[string, unknown, string]>([
    ['a duration', { lease: '5 s' }, `"lease" must be ${DURATION}, at least 100ms, at most 1h (got '5 s')`],
    ['a duration below its range', { lease: 99 }, `"lease" must be ${DURATION}, at least 100ms, at most 1h (got 99)`],
    [
      'a duration above its range',
      { lease: '2h' },
      `"lease" must be ${DURATION}, at least 100ms, at most 1h (got '2h')`,
    ],
    ['null', { timeout: null }, `"timeout" must be ${DURATION} (got null)`],
    ['a fraction', { retries: 1.5 }, '"retries" must be an integer from 0 to 100 (got 1.5)'],
    ['a number as text', { retries: '2' }, `"retries" must be an integer from 0 to 100 (got '2')`],
    ['NaN', { retries: NaN }, '"retries" must be an integer from 0 to 100 (got NaN)'],
    ['an unknown value', { mode: 'new' }, `"mode" must be 'auto' or 'legacy' (got 'new')`],
    ['a truthy value', { strict: 1 }, '"strict" must be true or false (got 1)'],
    ['text of another form', { schema: 'A b' }, `"schema" must be a string that matches /^[a-z]+$/ (got 'A b')`],
    ['a number for text', { label: 1 }, '"label" must be a short name (got 1)'],
    ['no function', { onLost: 'x' }, `"onLost" must be a function (got 'x')`],
    [
      'half a port',
      { clock: { now() {} } },
      '"clock" must be an object with now(), monotonic(), timer(), sleep() (got an object)',
    ],
    ['a value that a rule refuses', { even: 3 }, '"even" must be an even number (got 3)'],
    [
      'no group',
      { waiters: [] },
      '"waiters" must be an object with perKey: an integer from 0 to 9007199254740991; total: an integer from 1 to 9007199254740991 (got an array of 0)',
    ],
    [
      'an option in a group',
      { waiters: { total: 0 } },
      '"waiters.total" must be an integer from 1 to 9007199254740991 (got 0)',
    ],
    ['a name in a group', { waiters: { totl: 1 } }, 'unknown option "waiters.totl"; did you mean "waiters.total"?'],
    ['a near name', { leese: 1 }, 'unknown option "leese"; did you mean "lease"?'],
    ['a name in other case', { onlost: 1 }, 'unknown option "onlost"; did you mean "onLost"?'],
    [
      'a foreign name',
      { port: 1 },
      'unknown option "port"; allowed are lease, timeout, retries, mode, strict, schema, label, onLost, clock, even, logger, waiters',
    ],
    [
      'a name of Object.prototype',
      { constructor: 1 },
      'unknown option "constructor"; allowed are lease, timeout, retries, mode, strict, schema, label, onLost, clock, even, logger, waiters',
    ],
    ['text for options', 'x', `options must be an object (got 'x')`],
    ['null for options', null, 'options must be an object (got null)'],
    ['an array for options', [1], 'options must be an object (got an array of 1)'],
  ])('%s', (_, given, message) => {
    expect(failure(given)).toBe(`createX: ${message}`)
  })

  test('a required option', () => {
    const spec = {
      store: opt.required(opt.port<{ get(): void }>(['get'])),
      limits: opt.group({ max: opt.required(opt.integer(0)) }),
    }
    expect(failure({}, spec)).toBe('createX: "store" is required: an object with get()')
    expect(failure({ store: { get() {} }, limits: {} }, spec)).toBe(
      'createX: "limits.max" is required: an integer from 0 to 9007199254740991',
    )
  })
})

test('a package raises its own class', () => {
  class OwnError extends KeelsonError {}
  const own = (message: string): KeelsonError => new OwnError('OPTION_INVALID', message)
  for (const given of [5, { lease: 'x' }, { leese: 1 }, { waiters: { total: 0 } }, { waiters: { totl: 0 } }]) {
    expect(() => checkOptions('createX', given, SPEC, own)).toThrow(OwnError)
  }
})

test('whatever is given: a full set of options, or OPTION_INVALID on one line', () => {
  const names = fc.constantFrom(...Object.keys(SPEC), 'leas', 'x', '__proto__')
  fc.assert(
    fc.property(fc.dictionary(names, fc.anything(), { maxKeys: 3 }), (given) => {
      try {
        expect(Object.keys(checkOptions('createX', given, SPEC))).toEqual(Object.keys(SPEC))
      } catch (error) {
        expect(error).toBeInstanceOf(KernelError)
        expect((error as Error).message).toMatch(/^createX: [^\n]+$/)
      }
    }),
  )
})

test('a logger that throws is a silent one; it is called as a method of its own', () => {
  const lines: unknown[] = []
  const given = {
    debug(fields: object, message: string) {
      lines.push([this === given, fields, message])
    },
    info() {},
    warn() {},
    error() {
      throw new Error('the disk is full')
    },
  }
  const { logger } = checkOptions('createX', { logger: given }, SPEC)
  logger.debug({ a: 1 }, 'one')
  expect(() => logger.error({}, 'two')).not.toThrow()
  expect(lines).toEqual([[true, { a: 1 }, 'one']])
  expect(failure({ logger: { info() {} } })).toMatch(
    /"logger" must be an object with debug\(\), info\(\), warn\(\), error\(\)/,
  )
})
