import type { RedisPort } from '../../redis/port.ts'
import { defineScript } from '../../redis/script.ts'
import type { Suite } from '../suite.ts'
import type { Tools } from '../tools.ts'

/** A port under test; keys and channels are random, and the keys are deleted. */
export interface RedisSubject {
  readonly port: RedisPort
}

const text = (value: string): Buffer => Buffer.from(value)
const BINARY = Buffer.from([0, 255, 13, 10, 0xc3, 0x28, 36])

/** What a {@link RedisPort} promises: the same replies from every client and protocol, one flight a call. */
export const redisSuite: Suite<RedisSubject> = {
  name: 'Redis port',
  of: 'port',
  cases: [
    {
      name: 'texts are bytes, integers are numbers, nothing is null, lists are lists',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          const { equal } = tools
          const ask = (...words: Parameters<RedisPort['command']>[1]) => port.command(key, words)
          equal(await ask('SET', key, BINARY), text('OK'))
          equal(await ask('GET', key), BINARY)
          equal(await ask('get', key), BINARY)
          equal(await ask('STRLEN', key), BINARY.length)
          equal(await ask('EVAL', 'return ARGV[1]', 0, Buffer.alloc(0)), text(''))
          equal(await ask('EVAL', 'return "12"', 0), text('12'))
          equal(await ask('DEL', key), 1)
          equal(await ask('GET', key), null)
          equal(await ask('DECRBY', key, 42), -42)
          equal(await ask('DEL', key), 1)
          equal(await ask('RPUSH', key, 'a', BINARY), 2)
          equal(await ask('LRANGE', key, 0, -1), [text('a'), BINARY])
          equal(await ask('DEL', key), 1)
          equal(await ask('HSET', key, 'f', BINARY), 1)
          equal(await ask('HGETALL', key), [text('f'), BINARY])
          equal(await ask('EVAL', 'return {1, {"a", {false, {}}}, {ok = "S"}}', 0), [
            1,
            [text('a'), [null, []]],
            text('S'),
          ])
        }),
    },
    {
      name: 'words go as they are: bytes, parts of arrays, numbers, text beyond ASCII, a megabyte',
      async run({ port }, { equal }) {
        const big = Buffer.alloc(1_000_000, 7)
        for (const [word, expected] of [
          [new Uint8Array([9, 1, 0, 2, 9]).subarray(1, 4), Buffer.from([1, 0, 2])],
          [BINARY, BINARY],
          [1.5, text('1.5')],
          [-7, text('-7')],
          ['naïve € 😀', text('naïve € 😀')],
          ['', text('')],
          [big, big],
        ] as const) {
          equal(await port.command(null, ['EVAL', 'return ARGV[1]', 0, word]), expected)
        }
      },
    },
    {
      name: 'an error of the server rejects with its words, and the next command works',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          await port.command(key, ['RPUSH', key, 'a'])
          await rejectsWith(tools, port.command(key, ['INCR', key]), 'WRONGTYPE')
          await rejectsWith(tools, port.command(null, ['NOSUCHCOMMAND']), 'ERR unknown command')
          await rejectsWith(
            tools,
            port.command(null, ['EVAL', 'return redis.error_reply("MINE is mine")', 0]),
            'MINE is mine',
          )
          tools.equal(await port.command(key, ['LLEN', key]), 1)
        }),
    },
    {
      name: 'a script runs although no server knows it yet, and again',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          const script = defineScript(`-- ${key}\nreturn {KEYS[1], ARGV[1], #KEYS, #ARGV}`)
          const answer = [text(key), BINARY, 1, 2]
          tools.equal(await port.script(script, [key], [BINARY, 'b']), answer)
          tools.equal(await port.script(script, [key], [BINARY, 'b']), answer)
          const fails = defineScript(`-- ${key}\nreturn redis.error_reply('MINE no')`)
          await rejectsWith(tools, port.script(fails, [], []), 'MINE no')
          await rejectsWith(tools, port.script(fails, [], []), 'MINE no')
        }),
    },
    {
      name: 'a pipeline answers in order, scripts among commands, known or not',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          const push = defineScript(`-- ${key}\nreturn redis.call('RPUSH', KEYS[1], ARGV[1])`)
          const run = () =>
            port.pipeline(key, [
              ['DEL', key],
              { script: push, keys: [key], args: ['a'] },
              { script: push, keys: [key], args: [BINARY] },
              ['LRANGE', key, 0, -1],
            ])
          const [, ...first] = await run()
          tools.equal(first, [1, 2, [text('a'), BINARY]])
          tools.equal(await run(), [1, 1, 2, [text('a'), BINARY]])
          tools.equal(await port.pipeline(key, []), [])
        }),
    },
    {
      name: 'a pipeline rejects with its first error, and what is behind it has run',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          const failing = port.pipeline(key, [
            ['RPUSH', key, 'a'],
            ['INCR', key],
            ['NOSUCHCOMMAND'],
            ['RPUSH', key, 'b'],
          ])
          await rejectsWith(tools, failing, 'WRONGTYPE')
          tools.equal(await port.command(key, ['LRANGE', key, 0, -1]), [text('a'), text('b')])
        }),
    },
    {
      name: 'each of many callers at once gets its own answers',
      async run({ port }, { equal, together }) {
        const echo = (i: number) => ['EVAL', 'return ARGV[1]', 0, i] as const
        const answers = await together(200, async (i) =>
          i % 2 === 0 ? [await port.command(null, echo(i))] : port.pipeline(`k${i}`, [echo(i), echo(-i)]),
        )
        equal(
          answers,
          Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? [text(`${i}`)] : [text(`${i}`), text(`${-i}`)])),
        )
      },
    },
    {
      name: 'a subscription hears its channel only, in order, and nothing any more once it is closed',
      run: ({ port }, tools) =>
        withKey(port, tools, async (channel) => {
          const heard: Buffer[] = []
          const others: Buffer[] = []
          const subscription = await port.subscribe(channel, (message) => heard.push(message))
          const other = await port.subscribe(`${channel}:other`, (message) => others.push(message))
          for (const message of [BINARY, 'b', 'c']) await port.command(channel, ['PUBLISH', channel, message])
          await until(() => heard.length >= 3)
          tools.equal(heard, [BINARY, text('b'), text('c')])
          await subscription.close()
          await subscription.close()
          await port.command(channel, ['PUBLISH', channel, 'd'])
          await port.command(null, ['PUBLISH', `${channel}:other`, 'e'])
          await until(() => others.length >= 1)
          await other.close()
          tools.equal(heard.length, 3)
          tools.equal(others, [text('e')])
        }),
    },
    {
      name: 'two who listen to one channel both hear it, and one goes on without the other',
      run: ({ port }, tools) =>
        withKey(port, tools, async (channel) => {
          const heard: string[] = []
          const [first, second] = await Promise.all(
            ['first', 'second'].map((name) =>
              port.subscribe(channel, (message) => heard.push(`${name} ${message.toString()}`)),
            ),
          )
          await port.command(channel, ['PUBLISH', channel, 'a'])
          await until(() => heard.length >= 2)
          await first!.close()
          await port.command(channel, ['PUBLISH', channel, 'b'])
          await until(() => heard.length >= 3)
          await second!.close()
          tools.equal(heard.toSorted(), ['first a', 'second a', 'second b'])
        }),
    },
    {
      name: 'what blocks on a dedicated connection blocks nobody else; closed, it refuses',
      run: ({ port }, tools) =>
        withKey(port, tools, async (key) => {
          const dedicated = await port.dedicated()
          const popped = dedicated.command(key, ['BLPOP', key, 20])
          tools.equal(await port.command(null, ['PING']), text('PONG'))
          tools.equal(await port.command(key, ['RPUSH', key, 'a']), 1)
          tools.equal(await popped, [text(key), text('a')])
          await dedicated.close()
          await dedicated.close()
          await tools.rejects(dedicated.command(null, ['PING']), 'CLOSED')
          tools.equal(await port.command(null, ['PING']), text('PONG'))
        }),
    },
  ],
}

async function withKey(port: RedisPort, { random }: Tools, run: (key: string) => Promise<void>): Promise<void> {
  // The clock too: two runs may share a seed.
  const key = `keelson:suite:${Date.now().toString(36)}:${Math.floor(random() * 2 ** 31).toString(36)}`
  try {
    await run(key)
  } finally {
    await port.command(key, ['DEL', key])
  }
}

async function rejectsWith({ ok }: Tools, promise: Promise<unknown>, words: string): Promise<void> {
  const found = await promise.then(
    (value) => `it resolved with ${String(value)}`,
    (error: unknown) => (error instanceof Error ? error.message : 'no Error'),
  )
  ok(found.startsWith(words), `expected '${words}', but: ${found}`)
}

/** Messages come when they come: a runner's own limit ends this. */
async function until(holds: () => boolean): Promise<void> {
  for (let looks = 0; !holds() && looks < 1_000; looks++) await new Promise((resolve) => setTimeout(resolve, 2))
}
