import { expect, test } from 'vitest'
import type { Logger } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createHealth } from '../../src/health/index.ts'
import { createShutdown, type Part, type Shutdown, type ShutdownOptions } from '../../src/shutdown/index.ts'

interface Scene {
  readonly clock: ReturnType<typeof virtualClock>
  readonly shutdown: Shutdown
  /** What happened, with its ms. */
  readonly seen: string[]
  note(what: string): void
  /** A part that notes its steps; each takes so many ms. */
  part(name: string, times: { readonly drainMs?: number; readonly closeMs?: number }): Part
}

function scene(options: ShutdownOptions = {}): Scene {
  const clock = virtualClock()
  const seen: string[] = []
  const note = (what: string): void => void seen.push(`${clock.monotonic()} ${what}`)
  const shutdown = createShutdown({ clock, exit: (code) => note(`exit ${code}`), ...options })
  async function step(what: string, takesMs: number): Promise<void> {
    note(`${what} begins`)
    await clock.sleep(takesMs)
    note(`${what} ends`)
  }
  return {
    clock,
    seen,
    note,
    shutdown,
    part(name, { drainMs, closeMs }) {
      const close = { close: () => step(`close ${name}`, closeMs ?? 0) }
      if (drainMs === undefined) return close
      const drain = { drain: () => step(`drain ${name}`, drainMs) }
      return closeMs === undefined ? drain : { ...drain, ...close }
    },
  }
}

const hangs = (): Promise<never> => new Promise(() => {})
function recorded(): { readonly logger: Logger; readonly lines: { level: string; part?: string; message: string }[] } {
  const lines: { level: string; part?: string; message: string }[] = []
  const log = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields })
  return { lines, logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') } }
}

test('the order: readiness, signal, preStop, all drains at once, each close in turn from the last, exit 0', async () => {
  const health = createHealth()
  health.started()
  const { clock, shutdown, seen, note, part } = scene({
    preStop: '5s',
    health: {
      drain(reason) {
        note(`readiness off: ${reason}`)
        health.drain(reason)
      },
    },
  })
  shutdown.signal.addEventListener('abort', () => note(`signal: ${String(shutdown.signal.reason)}`))
  shutdown.add('db', part('db', { closeMs: 10 }))
  shutdown.add('worker', part('worker', { drainMs: 300, closeMs: 20 }))
  shutdown.add('http', part('http', { drainMs: 200 }))
  const ended = shutdown.shutdown('SIGTERM')
  expect(await health.readiness()).toMatchObject({ ok: false, reason: 'draining: SIGTERM' })
  await clock.advance('1m')
  expect(seen).toEqual([
    '0 readiness off: SIGTERM',
    '0 signal: AbortError: shutting down: SIGTERM',
    '5000 drain worker begins',
    '5000 drain http begins',
    '5200 drain http ends',
    '5300 drain worker ends',
    '5300 close worker begins',
    '5320 close worker ends',
    '5320 close db begins',
    '5330 close db ends',
    '5330 exit 0',
  ])
  expect(await ended).toEqual({ code: 0, stuck: [], ms: 5330 })
  expect(clock.pending()).toBe(0)
})

test('twice is the same promise and one run, also for who asks when he hears of it', async () => {
  const { clock, shutdown, seen, part } = scene()
  shutdown.add('db', part('db', { closeMs: 1 }))
  let heard: unknown
  shutdown.signal.addEventListener('abort', () => (heard = shutdown.shutdown('me too')))
  const first = shutdown.shutdown('SIGTERM')
  expect(shutdown.shutdown('again')).toBe(first)
  expect(heard).toBe(first)
  await clock.advance('1m')
  expect(shutdown.shutdown('afterwards')).toBe(first)
  expect(seen).toEqual(['0 close db begins', '1 close db ends', '1 exit 0'])
})

test('a part that throws is stuck, in each of its steps, and the rest still ends: code 1', async () => {
  const { logger, lines } = recorded()
  const { clock, shutdown, seen, part } = scene({ logger })
  const fail = (): never => {
    throw new Error('no')
  }
  shutdown.add('first', part('first', { drainMs: 10, closeMs: 10 }))
  shutdown.add('throws', { drain: fail, close: fail })
  shutdown.add('rejects', { close: () => Promise.reject(new Error('no')) })
  shutdown.add('last', part('last', { drainMs: 20, closeMs: 10 }))
  const ended = shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(await ended).toEqual({ code: 1, stuck: ['throws', 'rejects'], ms: 40 })
  expect(seen.filter((line) => line.includes('ends'))).toEqual([
    '10 drain first ends',
    '20 drain last ends',
    '30 close last ends',
    '40 close first ends',
  ])
  expect(lines.filter(({ level }) => level === 'error').map(({ part }) => part)).toEqual([
    'throws',
    'rejects',
    'throws',
  ])
})

test('a drain that hangs is told, ends when its time is over, and the part is closed all the same', async () => {
  const { clock, shutdown, seen, note, part } = scene({ drain: '2s' })
  shutdown.add('jobs', {
    drain(signal) {
      signal.addEventListener('abort', () => note(`told: ${(signal.reason as Error).message}`))
      return hangs()
    },
    close: () => note('close jobs'),
  })
  shutdown.add('http', part('http', { drainMs: 100, closeMs: 0 }))
  const ended = shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(seen).toContain('2000 told: it took over 2000 ms')
  expect(seen.slice(-2)).toEqual(['2000 close jobs', '2000 exit 1'])
  expect(await ended).toEqual({ code: 1, stuck: ['jobs'], ms: 2000 })
})

test('a drain that ends in time never hears of its signal', async () => {
  const { clock, shutdown, part } = scene({ drain: '2s', hardLimit: '5s' })
  let signal: AbortSignal | undefined
  shutdown.add('http', { drain: (given) => void (signal = given) })
  shutdown.add('slow', part('slow', { closeMs: 1000 }))
  void shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(signal!.aborted).toBe(false)
})

test('closes that hang share what is left: each other part is still closed, before the hard limit', async () => {
  const { clock, shutdown, seen, part } = scene({ hardLimit: '30s' })
  shutdown.add('good', part('good', { closeMs: 100 }))
  shutdown.add('stuck1', { close: hangs })
  shutdown.add('stuck2', { close: hangs })
  const ended = shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(seen).toEqual(['15000 close good begins', '15100 close good ends', '15100 exit 1'])
  expect(await ended).toEqual({ code: 1, stuck: ['stuck2', 'stuck1'], ms: 15_100 })
})

test('the hard limit ends it, preStop included: what did not close is named, nothing more is begun', async () => {
  const { clock, shutdown, seen, part } = scene({ preStop: '4s', drain: '1h', hardLimit: '5s' })
  shutdown.add('db', part('db', { closeMs: 1 }))
  shutdown.add('http', { drain: hangs })
  const ended = shutdown.shutdown('SIGTERM')
  await clock.advance('1d')
  expect(seen).toEqual(['5000 exit 1'])
  expect(await ended).toEqual({ code: 1, stuck: ['db', 'http'], ms: 5000 })
  expect(clock.pending()).toBe(0)
})

test('a part that is taken out is not ended; one that is added while others close is', async () => {
  const { clock, shutdown, seen, part } = scene()
  const remove = shutdown.add('gone', part('gone', { drainMs: 1, closeMs: 1 }))
  shutdown.add('a', part('a', { closeMs: 10 }))
  shutdown.add('b', {
    close() {
      shutdown.add('late', part('late', { closeMs: 5 }))
    },
  })
  remove()
  remove()
  void shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(seen).toEqual(['0 close late begins', '5 close late ends', '5 close a begins', '15 close a ends', '15 exit 0'])
})

test('close() gets no argument, and both are called on the part', async () => {
  const { clock, shutdown } = scene()
  const seen: unknown[] = []
  const part = {
    drain(...args: unknown[]) {
      seen.push(['drain', args.length, this === part])
    },
    close(...args: unknown[]) {
      seen.push(['close', args.length, this === part])
    },
  }
  shutdown.add('part', part)
  void shutdown.shutdown('SIGTERM')
  await clock.advance(0)
  expect(seen).toEqual([
    ['drain', 1, true],
    ['close', 0, true],
  ])
})

test('what a listener of the signal throws is logged, now or later, and the shutdown goes on', async () => {
  const { logger, lines } = recorded()
  const { clock, shutdown, part, seen, note } = scene({ logger })
  const removed = (): void => note('removed')
  shutdown.signal.addEventListener('abort', removed)
  shutdown.signal.removeEventListener('abort', removed)
  shutdown.signal.addEventListener('abort', () => {
    throw new Error('now')
  })
  shutdown.signal.addEventListener('abort', async () => Promise.reject(new Error('later')), { once: true })
  shutdown.signal.addEventListener('abort', {
    handleEvent() {
      throw new Error('of an object')
    },
  })
  shutdown.signal.addEventListener('abort', function (this: AbortSignal) {
    note(`heard: ${this === shutdown.signal}`)
  })
  shutdown.add('db', part('db', {}))
  const ended = shutdown.shutdown('test')
  await clock.advance('1m')
  expect(await ended).toMatchObject({ code: 0, stuck: [] })
  expect(seen).toEqual(['0 heard: true', '0 close db begins', '0 close db ends', '0 exit 0'])
  const told = lines.filter(({ level }) => level === 'error') as unknown as { err: Error; message: string }[]
  expect(told.map(({ err }) => err.message)).toEqual(['now', 'of an object', 'later'])
  expect(new Set(told.map(({ message }) => message))).toEqual(new Set(['a listener of the signal failed']))
})

test('neither a log nor a health that throws keeps the process', async () => {
  const fail = (): never => {
    throw new Error('no')
  }
  const logger = { debug: fail, info: fail, warn: fail, error: fail }
  const { clock, shutdown, seen, part } = scene({ logger, health: { drain: fail } })
  shutdown.add('db', part('db', { closeMs: 1 }))
  shutdown.add('bad', { close: fail })
  const ended = shutdown.shutdown('SIGTERM')
  await clock.advance('1m')
  expect(await ended).toEqual({ code: 1, stuck: ['bad'], ms: 1 })
  expect(seen.at(-1)).toBe('1 exit 1')
})

test.each([
  [{ drian: 1 }, /unknown option "drian"; did you mean "drain"\?/],
  [{ preStop: '1 minute' }, /"preStop" must be .*\(got '1 minute'\)/],
  [{ drain: -1 }, /"drain" must be/],
  [{ hardLimit: 0 }, /"hardLimit" must be .*at least 1/],
  [{ signals: 'SIGTERM' }, /"signals" must be an array of signals that a process can hear of \(got 'SIGTERM'\)/],
  [{ signals: ['SIGTREM'] }, /"signals" must be/],
  [{ signals: ['SIGKILL'] }, /"signals" must be/],
  [{ health: {} }, /"health" must be an object with drain\(\)/],
  [{ exit: 0 }, /"exit" must be a function/],
])('createShutdown refuses %j', (options, message) => {
  const create = (): unknown => createShutdown(options as unknown as ShutdownOptions)
  expect(create).toThrow(message)
  expect(create).toThrow(expect.objectContaining({ name: 'ResilienceError', code: 'OPTION_INVALID' }))
})

test.each([
  ['a name that is taken', 'db', { close() {} }, /"name" must be new \(there is one called 'db'\)/],
  ['no name', undefined, { close() {} }, /"name" must be 1 to 64/],
  ['no part', 'x', undefined, /"part" must be an object with drain\(\) or close\(\)/],
  ['a part without either', 'x', { end() {} }, /"part" must be/],
  ['a close that is no function', 'x', { close: true }, /"part" must be/],
])('add refuses %s', (_, name, part, message) => {
  const { shutdown } = scene()
  shutdown.add('db', { close() {} })
  expect(() => shutdown.add(name as string, part as Part)).toThrow(message)
})
