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
  ['a standby', coded('25006', { severity: 'ERROR' })],
  ['an UNLOGGED table of a standby', coded('0A000', { severity: 'ERROR', routine: 'get_relation_info' })],
  ['a full disk', coded('53100', { severity: 'ERROR' })],
  ['a server out of memory', coded('53200', { severity: 'ERROR' })],
  ['a broken disk', coded('58030', { severity: 'ERROR' })],
  ['a protocol violation that ends the session, as pgbouncer says everything', coded('08P01', { severity: 'FATAL' })],
  ['a connection that pg saw ending', new Error('Connection terminated unexpectedly')],
  ['a connection that pg gave up', new Error('Connection terminated due to connection timeout')],
  ['a client that pg could not connect in time', new Error('timeout expired')],
  ['a pool without a connection in time', new Error('timeout exceeded when trying to connect')],
  ['a client after its end', new Error('Client was closed and is not queryable')],
  ['a client after an error', new Error('Client has encountered a connection error and is not queryable')],
  ['a PGlite after its end', new Error('PGlite is closed')],
  ['a Redis that loads its data', new Error('LOADING Redis is loading the dataset in memory')],
  ['a cluster without a master for the key', new Error('CLUSTERDOWN Hash slot not served')],
  [
    'a replica without its master',
    new Error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
  ],
  ['a master that became a replica', new Error("READONLY You can't write against a read only replica.")],
  ['a full Redis', new Error("OOM command not allowed when used memory > 'maxmemory'. script: ab, on @user_script:1.")],
  [
    'a full Redis 6, of a script',
    new Error('ERR Error running script (call to f_ab): @user_script:1: @user_script: 1: -OOM command not allowed.'),
  ],
  [
    'a Redis that runs a script for ever',
    new Error('BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.'),
  ],
  [
    'a Redis that cannot write its file',
    new Error('MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.'),
  ],
  ['a Redis with too few replicas', new Error('NOREPLICAS Not enough good replicas to write.')],
  ['a slot on its way', new Error('TRYAGAIN Multiple keys request during rehashing of slot')],
  ['a slot that nobody keeps', new Error('MOVED 3999 127.0.0.1:6381')],
  ['a Redis with too many connections', new Error('ERR max number of clients reached')],
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
  ['a plan that has changed', coded('0A000', { routine: 'RevalidateCachedQuery' })],
  ['a syntax error', coded('42601')],
  ['a missing file', coded('ENOENT')],
  ['a programming error', new TypeError('x is not a function')],
  ['a full pool', kernel('overload')],
  ['an open guard', kernel('open')],
  ['another error of ours', new KernelError('EFFECT_INVALID', 'x')],
  ['a script that the server does not know', new Error('NOSCRIPT No matching script. Please use EVAL.')],
  ['a wrong type', new Error('WRONGTYPE Operation against a key holding the wrong kind of value')],
  ['a stumbling script', new Error('ERR user_script:1: attempt to index a nil value script: ab, on @user_script:1.')],
  [
    'a stumbling script of Redis 6',
    new Error('ERR Error running script (call to f_ab): @user_script:1: user_script:1: no OOM here'),
  ],
  ['an existing group', new Error('BUSYGROUP Consumer Group name already exists')],
  ['a wrong password', new Error('WRONGPASS invalid username-password pair or user is disabled.')],
  ['text that only quotes one', 'Connection terminated'],
  ['an application error that mentions a time-out', new Error('Session timeout expired, sign in again')],
  ['undefined', undefined],
  ['null', null],
])('%s is none', (_, error) => {
  expect(isStoreFailure(error)).toBe(false)
})
