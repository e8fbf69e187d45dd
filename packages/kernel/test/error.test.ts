import { expect, test } from 'vitest'
import { isKeelsonError, KeelsonError, KernelError } from '../src/index.ts'
import { secondCopy } from './second-copy.ts'

test('an error keeps its code, what a caller may do, and its cause', () => {
  const cause = new Error('socket hang up')
  const error = new KeelsonError('STORE_UNAVAILABLE', 'redis is down', {
    retryable: true,
    retryAfter: 500,
    cause,
    details: { reason: 'timeout' },
  })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'KeelsonError',
    code: 'STORE_UNAVAILABLE',
    message: 'redis is down',
    retryable: true,
    retryAfter: 500,
    details: { reason: 'timeout' },
  })
  expect(error.cause).toBe(cause)
})

test('JSON never holds the cause or a stack', () => {
  const secret = new Error('password=hunter2')
  const full = new KernelError('STORE_UNAVAILABLE', 'no', {
    retryAfter: 100,
    cause: secret,
    details: { reason: 'open' },
  })
  expect(JSON.parse(JSON.stringify(full))).toEqual({
    name: 'KernelError',
    code: 'STORE_UNAVAILABLE',
    message: 'no',
    retryable: true,
    retryAfter: 100,
    details: { reason: 'open' },
  })
  const bare = new KeelsonError('X', 'no', { cause: secret })
  expect(JSON.parse(JSON.stringify(bare))).toEqual({ name: 'KeelsonError', code: 'X', message: 'no', retryable: false })
})

test('what is unknown is absent, not undefined', () => {
  const error = new KeelsonError('X', 'no')
  expect(['cause', 'retryAfter', 'details'].filter((name) => name in error)).toEqual([])
})

test('a code decides whether a retry helps', () => {
  const retryable = (['STORE_UNAVAILABLE', 'COMMIT_UNKNOWN', 'OPTION_INVALID', 'EFFECT_INVALID'] as const).filter(
    (code) => new KernelError(code, 'x').retryable,
  )
  expect(retryable).toEqual(['STORE_UNAVAILABLE', 'COMMIT_UNKNOWN'])
})

test('two copies of the kernel recognise each other', async () => {
  const other = await secondCopy()
  const theirs = new other.KernelError('CLOSED', 'x')
  expect(theirs).not.toBeInstanceOf(KeelsonError)
  expect([isKeelsonError(theirs), isKeelsonError(theirs, 'CLOSED'), isKeelsonError(theirs, 'TX_ENDED')]).toEqual([
    true,
    true,
    false,
  ])
  expect(other.isKeelsonError(new KernelError('CLOSED', 'x'), 'CLOSED')).toBe(true)
})

test.each([undefined, null, 'CLOSED', 5, {}, { code: 'CLOSED' }, new Error('CLOSED'), Object.create(null)])(
  '%s is none of ours',
  (value) => {
    expect(isKeelsonError(value)).toBe(false)
  },
)
