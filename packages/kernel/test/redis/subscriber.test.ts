/** The subscriber alone, on a clock of ours and connections that do as they are told. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { isKeelsonError } from '../../src/index.ts'
import type { Channel, Listener, ListenerEvents } from '../../src/redis/driver.ts'
import { createSubscriber } from '../../src/redis/subscriber.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { hear } from './heard.ts'

/** A connection that was opened. */
interface Connection {
  readonly events: ListenerEvents
  readonly channels: string[]
  closed: boolean
  mute: boolean
  pings: number
}

function world() {
  const clock = virtualClock()
  const connections: Connection[] = []
  const net: { away: boolean; hanging: boolean; refused?: string } = { away: false, hanging: false }
  let tries = 0
  const never = new Promise<never>(() => {})
  const name = ({ name, sharded }: Channel): string => (sharded ? `${name} sharded` : name)

  async function listen(events: ListenerEvents, signal: AbortSignal): Promise<Listener> {
    tries++
    if (net.hanging)
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    if (net.away) throw new Error('away')
    const connection: Connection = { events, channels: [], closed: false, mute: false, pings: 0 }
    connections.push(connection)
    return {
      async subscribe(channels) {
        if (connection.mute) await never
        if (channels.some((channel) => channel.name === net.refused)) throw new Error('NOPERM')
        connection.channels.push(...channels.map(name))
      },
      async unsubscribe(channel) {
        const index = connection.channels.indexOf(name(channel))
        if (index >= 0) connection.channels.splice(index, 1)
      },
      async ping() {
        connection.pings++
        if (connection.mute) await never
      },
      async close() {
        connection.closed = true
      },
    }
  }
  return {
    clock,
    connections,
    net,
    port: { subscribe: createSubscriber(listen, clock, () => 0) },
    tries: () => tries,
    last: () => connections.at(-1)!,
    break() {
      const { events } = connections.at(-1)!
      events.closed()
    },
  }
}

test('tries to reconnect after 50 ms, doubled up to 2 s, and then as often again', async () => {
  const { port, net, clock, tries, break: breakIt } = world()
  const heard = await hear(port, 'a')
  net.away = true
  breakIt()
  const triesAfter = async (ms: number): Promise<number> => {
    await clock.advance(ms)
    return tries() - 1
  }
  expect(await triesAfter(49)).toBe(0)
  for (const [i, ms] of [1, 100, 200, 400, 800, 1600, 2000, 2000, 2000].entries()) {
    expect(await triesAfter(ms - 1)).toBe(i)
    expect(await triesAfter(1)).toBe(i + 1)
  }
  net.away = false
  await clock.advance(2000)
  breakIt()
  const before = tries()
  await clock.advance(50)
  expect(tries()).toBe(before + 1)
  expect(heard.log).toEqual(['[lost]', '[restored]', '[lost]', '[restored]'])
})

test('asks every 5 s whether the connection lives, and replaces one that is mute', async () => {
  const { port, clock, connections, last } = world()
  const heard = await hear(port, 'a')
  await clock.advance('20s')
  expect([connections.length, last().pings]).toEqual([1, 4])
  last().mute = true
  await clock.advance('9999ms')
  expect(heard.log).toEqual([])
  await clock.advance('51ms')
  expect(heard.log).toEqual(['[lost]', '[restored]'])
  expect(connections.map(({ closed, channels }) => [closed, channels])).toEqual([
    [true, ['a']],
    [false, ['a']],
  ])
  await heard.close()
  expect([last().closed, clock.pending()]).toEqual([true, 0])
})

test('gives up on a connection that does not open in 10 s, or does not subscribe again', async () => {
  const { port, net, clock, tries, last, break: breakIt } = world()
  net.hanging = true
  const waiting = port.subscribe('a', () => {}).catch((error: unknown) => error)
  await clock.advance('10s')
  expect(isKeelsonError(await waiting, 'STORE_UNAVAILABLE')).toBe(true)
  expect([tries(), clock.pending()]).toEqual([1, 0])

  net.hanging = false
  const heard = await hear(port, 'a')
  net.hanging = true
  breakIt()
  await clock.advance('10060ms')
  expect([tries(), heard.log]).toEqual([3, ['[lost]']])
  net.hanging = false
  await clock.advance('100ms')
  expect(heard.log).toEqual(['[lost]', '[restored]'])
  expect(last().closed).toBe(false)
})

test('who cannot subscribe does not disturb the others, now and after a loss', async () => {
  const { port, net, connections, clock, break: breakIt } = world()
  net.refused = 'forbidden'
  const [a, forbidden] = await Promise.allSettled([hear(port, 'a'), hear(port, 'forbidden')])
  expect([a.status, forbidden.status]).toEqual(['fulfilled', 'rejected'])
  breakIt()
  await clock.advance(50)
  expect(connections.map(({ channels }) => channels)).toEqual([['a'], ['a']])
  expect(a.status === 'fulfilled' && a.value.log).toEqual(['[lost]', '[restored]'])
})

test('who subscribes while the connection is lost brings the others back', async () => {
  const { port, connections, clock, break: breakIt } = world()
  const a = await hear(port, 'a')
  breakIt()
  const b = await hear(port, 'b')
  expect([a.log, b.log]).toEqual([['[lost]', '[restored]'], []])
  await clock.advance('1s')
  expect(connections.map(({ channels }) => channels)).toEqual([['a'], ['a', 'b']])
})

test('a connection that breaks under an unconfirmed subscription rejects it, and tells it nothing', async () => {
  const { port, last, break: breakIt, clock } = world()
  const told: string[] = []
  const a = await hear(port, 'a')
  last().mute = true
  const joining = port.subscribe('b', () => {}, {
    lost: () => told.push('lost'),
    restored: () => told.push('restored'),
  })
  const failing = joining.catch((error: unknown) => error)
  breakIt()
  await clock.advance('1s')
  expect(a.log).toEqual(['[lost]', '[restored]'])
  expect(told).toEqual([])
  expect(isKeelsonError(await failing, 'STORE_UNAVAILABLE')).toBe(true)
})

test('closes with the last subscription, also while it opens, and lets nobody hear anything more', async () => {
  const { port, connections, net, clock, tries, last, break: breakIt } = world()
  const [a, b] = await Promise.all([hear(port, 'a'), hear(port, 'a', { sharded: true })])
  last().events.message('a', Buffer.from('1'), false)
  last().events.message('a', Buffer.from('2'), true)
  last().events.message('b', Buffer.from('3'), false)
  expect([a.log, b.log]).toEqual([['1'], ['2']])
  await a.close()
  expect([last().channels, last().closed]).toEqual([['a sharded'], false])
  net.away = true
  breakIt()
  await clock.advance(50)
  expect(b.log).toEqual(['2', '[lost]'])
  net.away = false
  const closing = clock.advance('10s')
  await b.close()
  await closing
  expect(connections.map(({ closed }) => closed).slice(1)).not.toContain(false)
  expect(clock.pending()).toBe(0)
  const triesThen = tries()
  await clock.advance('1m')
  expect(tries()).toBe(triesThen)
})

test('closes at once while a connection hangs that is being opened', async () => {
  const { port, net, clock, break: breakIt } = world()
  const heard = await hear(port, 'a')
  net.hanging = true
  breakIt()
  await clock.advance('1s')
  await heard.close()
  expect([heard.log, clock.pending()]).toEqual([['[lost]'], 0])
})

test('closes and gives up at once beside another subscriber while a connection hangs that is being opened', async () => {
  const { port, net, clock, last, break: breakIt } = world()
  const [a, b] = [await hear(port, 'a'), await hear(port, 'b')]
  net.hanging = true
  breakIt()
  await clock.advance(50)
  await b.close()
  const giveUp = new AbortController()
  const joining = port.subscribe('c', () => {}, { signal: giveUp.signal })
  giveUp.abort(new Error('closing'))
  await expect(joining).rejects.toThrow('closing')
  net.hanging = false
  await clock.advance('12s')
  expect([a.log, last().channels]).toEqual([['[lost]', '[restored]'], ['a']])
  await a.close()
  expect([last().closed, clock.pending()]).toEqual([true, 0])
})

test('gives up at once what a server that stands still does not confirm, also beside another subscriber', async () => {
  const { port, last, clock } = world()
  const mute = async (): Promise<void> => {
    const giveUp = new AbortController()
    last().mute = true
    const joining = port.subscribe('b', () => {}, { signal: giveUp.signal })
    giveUp.abort(new Error('closing'))
    await expect(joining).rejects.toThrow('closing')
  }
  const a = await hear(port, 'a')
  await mute()
  expect(last().closed).toBe(false)
  await a.close()
  expect([last().closed, clock.pending()]).toEqual([true, 0])
  const again = await hear(port, 'a')
  const given = new AbortController()
  given.abort(new Error('too late'))
  await expect(port.subscribe('b', () => {}, { signal: given.signal })).rejects.toThrow('too late')
  const opened = await port.subscribe('c', () => {}, { signal: new AbortController().signal })
  await opened.close()
  await again.close()
  expect([last().closed, last().channels, clock.pending()]).toEqual([true, ['a'], 0])
})

test('what one subscriber throws reaches the process, and not the next subscriber', async () => {
  const thrown: unknown[] = []
  vi.stubGlobal('queueMicrotask', (run: () => void) => {
    try {
      run()
    } catch (error) {
      thrown.push(error)
    }
  })
  onTestFinished(() => void vi.unstubAllGlobals())
  const { port, last, clock, break: breakIt } = world()
  const fail = (what: string) => () => {
    throw new Error(what)
  }
  await port.subscribe('a', fail('on'), { lost: fail('lost'), restored: fail('restored') })
  const heard = await hear(port, 'a')
  last().events.message('a', Buffer.from('1'), false)
  breakIt()
  await clock.advance(50)
  expect(heard.log).toEqual(['1', '[lost]', '[restored]'])
  expect(thrown).toEqual([new Error('on'), new Error('lost'), new Error('restored')])
})
