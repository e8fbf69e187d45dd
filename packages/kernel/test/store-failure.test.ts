import { expect, test } from 'vitest'
import { isStoreFailure, KernelError } from '../src/index.ts'

const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more })
const kernel = (reason: string): KernelError => new KernelError('STORE_UNAVAILABLE', 'x', { details: { reason } })

test.each([
  ['a refused connection', coded('ECONNREFUSED')],
  ['a reset connection', coded('ECONNRESET')],
  ['a broken pipe', coded('EPIPE')],
  ['a network time-out', coded('ETIMEDOUT')],
  ['an unknown host', coded('ENOTFOUND')],
  ['a refusal on every address', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')])],
  ['a lost connection', coded('08006', { severity: 'FATAL' })],
  ['a shutdown', coded('57P01', { severity: 'FATAL' })],
  ['a crash', coded('57P02', { severity: 'FATAL' })],
  ['a start-up', coded('57P03', { severity: 'FATAL' })],
  ['too many connections', coded('53300', { severity: 'FATAL' })],
  ['a protocol violation that ends the session, as pgbouncer says everything', coded('08P01', { severity: 'FATAL' })],
  ['a connection that pg saw ending', new Error('Connection terminated unexpectedly')],
  ['a connection that pg gave up', new Error('Connection terminated due to connection timeout')],
  ['a client that pg could not connect in time', new Error('timeout expired')],
  ['a pool without a connection in time', new Error('timeout exceeded when trying to connect')],
  ['a client after its end', new Error('Client was closed and is not queryable')],
  ['a client after an error', new Error('Client has encountered a connection error and is not queryable')],
  ['a PGlite after its end', new Error('PGlite is closed')],
  ['our own time-out', kernel('timeout')],
  ['our own refusal', kernel('refused')],
  ['a COMMIT without an answer', new KernelError('COMMIT_UNKNOWN', 'x')],
])('%s is a failure of the store', (_, error) => {
  expect(isStoreFailure(error)).toBe(true)
})

test.each([
  ['a unique violation', coded('23505')],
  ['a serialization failure', coded('40001')],
  ['a deadlock', coded('40P01')],
  ['a lock time-out', coded('55P03')],
  ['a cancelled statement', coded('57014')],
  ['a wrong number of parameters', coded('08P01', { severity: 'ERROR' })],
  ['a syntax error', coded('42601')],
  ['a missing file', coded('ENOENT')],
  ['a programming error', new TypeError('x is not a function')],
  ['a full pool', kernel('overload')],
  ['an open guard', kernel('open')],
  ['another error of ours', new KernelError('EFFECT_INVALID', 'x')],
  ['text that only quotes one', 'Connection terminated'],
  ['an application error that mentions a time-out', new Error('Session timeout expired, sign in again')],
  ['undefined', undefined],
  ['null', null],
])('%s is none', (_, error) => {
  expect(isStoreFailure(error)).toBe(false)
})
