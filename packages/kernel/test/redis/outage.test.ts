import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { createStoreGuard, isStoreFailure } from '../../src/index.ts'
import { defineScript } from '../../src/redis/index.ts'
import { families } from './clients.ts'
import { hear } from './heard.ts'

const text = (s: string): Buffer => Buffer.from(s)

describe.each(Object.entries(families))('%s', (_, open) => {
  test('a subscriber is told of each loss once, and once when it hears again', async () => {
    await using server = await startRedis()
    const name = randomUUID()
    await using opened = await open(server.url, name)
    const a = await hear(opened.port, 'a')
    const b = await hear(opened.port, 'b')
    const publish = (channel: string, message: string) => askRedis(server.url, 'PUBLISH', channel, message)

    for (const round of ['1', '2']) {
      await server.kill()
      await Promise.all([a.until('[lost]', a.log.length - 1), b.until('[lost]', b.log.length - 1)])
      const joining = await opened.port
        .subscribe('c', () => {})
        .then(
          () => 'open',
          (error: unknown) => [isStoreFailure(error), (error as { code?: string }).code],
        )
      expect(joining).toEqual([true, 'ECONNREFUSED'])
      // They may hear again before the restart is known to have ended.
      const restored = [a.until('[restored]', a.log.length), b.until('[restored]', b.log.length)]
      await server.restart()
      await Promise.all(restored)
      await publish('a', round)
      await publish('b', round)
      await Promise.all([a.until(round), b.until(round)])
    }
    const log = ['[lost]', '[restored]', '1', '[lost]', '[restored]', '2']
    expect([a.log, b.log]).toEqual([log, log])

    await server.kill()
    await a.until('[lost]', log.length)
    await Promise.all([a.close(), b.close()])
    await server.restart()
    const again = await hear(opened.port, 'a')
    await publish('a', 'again')
    await again.until('again')
    await again.close()
    expect(a.log).toEqual([...log, '[lost]'])
    expect(await opened.port.command(null, ['PING'])).toEqual(text('PONG'))
    await until('only the client itself is connected', 60_000, async () => {
      const list = String(await askRedis(server.url, 'CLIENT', 'LIST'))
      return list.split(`name=${name} `).length === 2 || undefined
    })
  })

  test('who gives up a subscription need not wait for a server that stands still', async () => {
    await using server = await startRedis()
    await using opened = await open(server.url)
    const first = await hear(opened.port, 'first')
    server.freeze()
    const giveUp = new AbortController()
    const joining = opened.port.subscribe('second', () => {}, { signal: giveUp.signal })
    giveUp.abort(new Error('closing'))
    await expect(joining).rejects.toThrow('closing')
    await first.close()
    // Only now: whatever waited for an answer would wait still.
    server.thaw()
    const again = await hear(opened.port, 'second')
    await askRedis(server.url, 'PUBLISH', 'second', '1')
    await again.until('1')
    await again.close()
  })

  test('calls under a guard end in time, whatever the server does, and work again after it', async () => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server)
    await using opened = await open(`redis://${proxy.host}:${proxy.port}`)
    const { port } = opened
    const guard = createStoreGuard({
      name: 'redis',
      timeout: 500,
      probeEvery: 50,
      ping: () => port.command(null, ['PING']),
    })
    const script = defineScript(`return redis.call('INCR', KEYS[1])`)
    const calls = {
      command: () => port.command('a', ['GET', 'a']),
      script: () => port.script(script, ['a'], []),
      pipeline: () => port.pipeline('a', [['GET', 'a'], { script, keys: ['a'], args: [] }, ['WAIT', 0, 0]]),
    }
    const all = async () => {
      const answers = await Promise.allSettled(Object.values(calls).map((call) => guard.call<unknown>(call)))
      return answers.map(({ status }) => status)
    }
    const closed = () => until('the guard is closed', 60_000, async () => guard.state === 'closed' || undefined)

    const harms: readonly (readonly [() => unknown, () => unknown])[] = [
      [() => proxy.freeze(), () => proxy.pass()],
      [() => proxy.refuse(), () => proxy.pass()],
      [() => proxy.mute(), () => (proxy.pass(), proxy.resetAll())],
      [() => server.freeze(), () => server.thaw()],
      [() => server.kill(), () => server.restart()],
    ]
    const work = async () => (await all()).every((status) => status === 'fulfilled') || undefined
    for (const [harm, mend] of harms) {
      // A busy machine may need more than the guard's 500 ms for a call once.
      await until('all calls work', 60_000, work)
      await harm()
      expect(await all()).toEqual(['rejected', 'rejected', 'rejected'])
      expect(guard.state).toBe('open')
      await mend()
      await closed()
    }
    guard.close()
  })
})
