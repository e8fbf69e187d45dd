import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { defineScript, redisPort, type Arg, type RedisReply } from '../../src/redis/index.ts'
import { variants } from './clients.ts'

const text = (s: string): Buffer => Buffer.from(s)
const binary = Buffer.from([0, 255, 13, 10, 0xc3, 0x28, 36])
const bytes = new Uint8Array([9, 1, 0, 2, 9]).subarray(1, 4)
const big = Buffer.alloc(1_000_000, 7)
const longNumber = '12345678901234567890123'

type Case = readonly [what: string, args: readonly Arg[], reply: RedisReply]
const echo = (arg: Arg): Arg[] => ['EVAL', 'return ARGV[1]', 0, arg]
const lua = (code: string, ...args: Arg[]): Arg[] => ['EVAL', code, 0, ...args]

/** Commands one after the other, and what each is answered, whatever the client. */
const cases = (key: (name: string) => string): readonly Case[] => [
  ['a status', ['SET', key('text'), binary], text('OK')],
  ['bytes', ['GET', key('text')], binary],
  ['a command in lower case', ['get', key('text')], binary],
  ['nothing', ['GET', key('none')], null],
  ['an empty text', echo(Buffer.alloc(0)), text('')],
  ['a part of an array of bytes', echo(bytes), Buffer.from([1, 0, 2])],
  ['a megabyte', echo(big), big],
  ['text beyond ASCII', echo('naïve €'), text('naïve €')],
  ['text of a number', echo(1.5), text('1.5')],
  ['text that looks like an integer', lua('return "12"'), text('12')],
  ['an integer', ['INCRBY', key('n'), 41], 41],
  ['an integer below zero', ['DECRBY', key('n'), 42], -1],
  ['an integer of 16 digits', ['INCRBY', key('n'), '9007199254740801'], 9007199254740800],
  ['a list with a gap', ['MGET', key('text'), key('none')], [binary, null]],
  ['a count', ['HSET', key('hash'), binary, 'a', 'f', binary], 2],
  ['a hash, its fields too as bytes', ['HGETALL', key('hash')], [binary, text('a'), text('f'), binary]],
  ['a hash in lower case', ['hgetall', key('hash')], [binary, text('a'), text('f'), binary]],
  ['a hash that is not there', ['HGETALL', key('none')], []],
  ['a member of a set', ['SADD', key('set'), binary], 1],
  ['a set', ['SMEMBERS', key('set')], [binary]],
  ['members with their scores given', ['ZADD', key('z'), 1.5, 'a', '+inf', binary], 2],
  ['a score', ['ZSCORE', key('z'), 'a'], text('1.5')],
  ['an infinite score', ['ZSCORE', key('z'), binary], text('inf')],
  ['members', ['ZRANGE', key('z'), 0, -1], [text('a'), binary]],
  ['scores', ['ZRANGE', key('z'), 0, -1, 'WITHSCORES'], [text('a'), text('1.5'), binary, text('inf')]],
  ['the lowest member', ['ZPOPMIN', key('z')], [text('a'), text('1.5')]],
  ['the lowest members', ['ZPOPMIN', key('z'), 2], [binary, text('inf')]],
  ['an id', ['XADD', key('x'), '1-1', 'f', binary], text('1-1')],
  ['a stream', ['XREAD', 'STREAMS', key('x'), 0], [[text(key('x')), [[text('1-1'), [text('f'), binary]]]]]],
  ['a stream at its end', ['XREAD', 'STREAMS', key('x'), '1-1'], null],
  ['nested lists', lua('return {1, {"a", {false, {}}}, {ok = "S"}}'), [1, [text('a'), [null, []]], text('S')]],
  ['a true', lua('return true'), 1],
  ['a false', lua('return false'), null],
  ['a double of RESP3', lua('redis.setresp(3) return {double = -3.25}'), text('-3.25')],
  ['a true of RESP3', lua('redis.setresp(3) return true'), 1],
  ['a false of RESP3', lua('redis.setresp(3) return false'), 0],
  ['a map of RESP3', lua('redis.setresp(3) return {map = {[ARGV[1]] = 1.5}}', binary), [binary, 1]],
  ['a set of RESP3', lua('redis.setresp(3) return {set = {a = true}}'), [text('a')]],
  ['a big number of RESP3', lua('redis.setresp(3) return {big_number = ARGV[1]}', longNumber), text(longNumber)],
  ['a format of RESP3', lua('redis.setresp(3) return {verbatim_string = {format = "txt", string = "a"}}'), text('a')],
]

const errors: readonly (readonly [what: string, args: (key: string) => readonly Arg[], message: RegExp])[] = [
  ['a wrong type', (key) => ['INCR', key], /^WRONGTYPE Operation against a key/],
  ['an unknown command', () => ['NOSUCH', 'a'], /^ERR unknown command/],
  ['a script of its own words', () => lua('return redis.error_reply("MINE is mine")'), /^MINE is mine$/],
  ['a script that stumbles', () => lua('return nil + 1'), /attempt to perform arithmetic on a nil value/],
  ['an error inside a list', () => lua('return {1, redis.error_reply("MINE is inside")}'), /^MINE is inside$/],
]

// Its own: the scripts of other tests are not ours to flush.
const server = await startRedis()
afterAll(() => server.stop())

describe.each(Object.entries(variants))('%s', async (_, open) => {
  await using stack = new AsyncDisposableStack()
  const { port } = stack.use(await open(server.url))
  const opened = stack.move()
  afterAll(() => opened.disposeAsync())
  const tag = randomUUID()
  const key = (name: string): string => `{${tag}}:${name}`

  for (const [what, args, reply] of cases(key)) {
    test(`answers ${what}`, async () => {
      expect(await port.command(key(''), args)).toEqual(reply)
    })
  }

  test.each(errors)('rejects with the message of %s', async (_, args, message) => {
    await port.command(key('list'), ['RPUSH', key('list'), 'a'])
    await expect(port.command(key('list'), args(key('list')))).rejects.toThrow(message)
  })

  test('takes a command with 10,000 words', async () => {
    const fields = Array.from({ length: 10_000 }, (_, i) => [i, new Uint8Array([i & 255])]).flat()
    expect(await port.command(key('many'), ['HSET', key('many'), ...fields])).toBe(10_000)
  })

  test('runs a script that the server knows, does not know, and has forgotten', async () => {
    const script = defineScript(`-- ${tag}\nreturn {KEYS[1], ARGV[1]}`)
    const run = () => port.script(script, [key('a')], [binary])
    const answer = [text(key('a')), binary]
    expect([await run(), await run()]).toEqual([answer, answer])
    await port.command(null, ['SCRIPT', 'FLUSH'])
    const answers = await Promise.all(Array.from({ length: 50 }, run))
    expect(answers).toEqual(answers.map(() => answer))
    const constant = defineScript(`-- ${tag}\nreturn 7`)
    expect([await port.script(constant, [], []), await port.script(constant, [], [])]).toEqual([7, 7])
  })

  test('rejects with the error of a script, after EVALSHA and after EVAL', async () => {
    const script = defineScript(`-- ${tag}\nreturn redis.error_reply('MINE no')`)
    await expect(port.script(script, [], [])).rejects.toThrow(/^MINE no$/)
    await expect(port.script(script, [], [])).rejects.toThrow(/^MINE no$/)
  })

  test('pipelines commands and scripts, answers in order, though the server forgets the scripts', async () => {
    const push = defineScript(`-- ${tag}\nreturn redis.call('RPUSH', KEYS[1], ARGV[1])`)
    const list = key('pipeline')
    const run = () =>
      port.pipeline(list, [
        ['DEL', list],
        { script: push, keys: [list], args: ['a'] },
        { script: push, keys: [list], args: [binary] },
        ['LRANGE', list, -2, -1],
        ['WAIT', 0, 0],
      ])
    expect(await run()).toEqual([expect.any(Number), 1, 2, [text('a'), binary], 0])
    await port.command(null, ['SCRIPT', 'FLUSH'])
    expect(await run()).toEqual([1, 1, 2, [text('a'), binary], 0])
    expect(await run()).toEqual([1, 1, 2, [text('a'), binary], 0])
  })

  test('rejects a pipeline with its first error, and runs what is behind it', async () => {
    const list = key('stumbling')
    const failing = port.pipeline(list, [['RPUSH', list, 'a'], ['INCR', list], ['NOSUCH'], ['RPUSH', list, 'b']])
    await expect(failing).rejects.toThrow(/^WRONGTYPE/)
    expect(await port.command(list, ['LRANGE', list, 0, -1])).toEqual([text('a'), text('b')])
    expect(await port.pipeline(list, [])).toEqual([])
  })

  test('gives each of many callers its own answers', async () => {
    const numbers = Array.from({ length: 500 }, (_, i) => i)
    const answers = await Promise.all(
      numbers.map((i) => (i % 2 === 0 ? port.command(null, echo(i)) : port.pipeline(key(''), [echo(i), echo(-i)]))),
    )
    expect(answers).toEqual(numbers.map((i) => (i % 2 === 0 ? text(`${i}`) : [text(`${i}`), text(`${-i}`)])))
  })
})

test('ioredis with replies in the shapes of RESP3 answers scripts as all do, and maps flat', async () => {
  const client = new Redis(server.url, { replyMapping: 'resp3' })
  const port = redisPort(client)
  const script = defineScript(`return {1, 'a', false, {ARGV[1]}}`)
  expect(await port.script(script, [], [binary])).toEqual([1, text('a'), null, [binary]])
  await port.command('h', ['HSET', 'h', 'f', binary])
  expect(await port.command('h', ['HGETALL', 'h'])).toEqual([text('f'), binary])
  client.disconnect()
})
