import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, tracingChannel } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { traced } from '../src/index.ts'

type Message = Record<string, unknown>
type Heard = [event: string, message: Message]

/** What is told on a channel until the test ends. Messages as they were then, and the objects themselves. */
function listen(name: string): { heard: Heard[]; messages: unknown[] } {
  const heard: Heard[] = []
  const messages: unknown[] = []
  const hear = (event: string) => (message: unknown) => {
    heard.push([event, { ...(message as Message) }])
    messages.push(message)
  }
  const subscribers = {
    start: hear('start'),
    end: hear('end'),
    asyncStart: hear('asyncStart'),
    asyncEnd: hear('asyncEnd'),
    error: hear('error'),
  }
  const tracing = tracingChannel<unknown, object>(name)
  tracing.subscribe(subscribers)
  onTestFinished(() => tracing.unsubscribe(subscribers))
  return { heard, messages }
}

const never = (): never => {
  throw new Error('details were asked for')
}

describe('unheard', () => {
  test('the promise of the operation itself comes out, and details are not asked for', async () => {
    const promise = Promise.resolve(1)
    expect(traced('test:unheard', never, () => promise)).toBe(promise)
    const own = new Error('own')
    const failing = Promise.reject(own)
    expect(traced('test:unheard', never, () => failing)).toBe(failing)
    await expect(failing).rejects.toBe(own)
  })

  test('a throw becomes a rejection with the same error', async () => {
    const own = new Error('own')
    const failing = traced('test:unheard', never, () => {
      throw own
    })
    await expect(failing).rejects.toBe(own)
  })

  test('one that listens to another operation hears nothing of this', async () => {
    const { heard } = listen('keelson:test:other')
    await traced('test:unheard', never, async () => 1)
    expect(heard).toEqual([])
  })
})

describe('heard', () => {
  test('it is told as tracePromise tells it, with the answer in the end', async () => {
    const { heard, messages } = listen('keelson:test:heard')
    const order: string[] = []
    const answer = Promise.withResolvers<number>()
    const running = traced(
      'test:heard',
      () => ({ store: 'redis' }),
      () => {
        order.push('runs')
        return answer.promise
      },
    )
    expect(heard.map(([event]) => event)).toEqual(['start', 'end'])
    expect(order).toEqual(['runs'])
    answer.resolve(7)
    expect(await running).toBe(7)
    expect(heard).toEqual([
      ['start', { store: 'redis' }],
      ['end', { store: 'redis' }],
      ['asyncStart', { store: 'redis', result: 7 }],
      ['asyncEnd', { store: 'redis', result: 7 }],
    ])
    expect(new Set(messages).size).toBe(1)
  })

  test.each([
    ['a rejection', (own: Error) => () => Promise.reject(own)],
    [
      'a throw',
      (own: Error) => () => {
        throw own
      },
    ],
  ])('%s is told, and comes out as the same error', async (_, failing) => {
    const { heard } = listen('keelson:test:failing')
    const own = new Error('own')
    await expect(traced('test:failing', () => ({}), failing(own))).rejects.toBe(own)
    expect(heard.map(([event, { error }]) => [event, error])).toEqual([
      ['start', undefined],
      ['end', undefined],
      ['error', own],
      ['asyncStart', own],
      ['asyncEnd', own],
    ])
  })

  test('the operation may write its outcome on its details', async () => {
    const { heard } = listen('keelson:test:outcome')
    let message: { outcome?: string } | undefined
    await traced(
      'test:outcome',
      () => (message = {}),
      async () => {
        await Promise.resolve()
        message!.outcome = 'hit'
      },
    )
    expect(heard.at(-1)).toEqual(['asyncEnd', { outcome: 'hit', result: undefined }])
  })

  test('each call has a message of its own', async () => {
    const { messages } = listen('keelson:test:two')
    await Promise.all(
      [1, 2].map((n) =>
        traced(
          'test:two',
          () => ({ n }),
          async () => n,
        ),
      ),
    )
    expect(new Set(messages).size).toBe(2)
  })

  test.each<[string, () => object]>([
    ['that throw', never],
    ['that are frozen', () => Object.freeze({ n: 1 })],
    ['that are nothing', () => undefined as never],
  ])('details %s break nothing', async (_, details) => {
    const { heard } = listen('keelson:test:broken')
    expect(await traced('test:broken', details, async () => 1)).toBe(1)
    expect(heard.map(([event]) => event)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
  })

  test('a listener that ends is asked no more', async () => {
    const start = channel('tracing:keelson:test:ended:start')
    const seen: unknown[] = []
    const listener = (message: unknown): void => void seen.push(message)
    start.subscribe(listener)
    await traced(
      'test:ended',
      () => ({}),
      async () => 1,
    )
    start.unsubscribe(listener)
    await traced('test:ended', never, async () => 1)
    expect(seen.length).toBe(1)
  })

  test('a store bound to the start holds the span while the operation runs', async () => {
    const span = new AsyncLocalStorage<string>()
    const { start } = tracingChannel('keelson:test:bound')
    start.bindStore(span, () => 'span')
    onTestFinished(() => void start.unbindStore(span))
    const seen = await traced(
      'test:bound',
      () => ({}),
      async () => {
        await Promise.resolve()
        return span.getStore()
      },
    )
    expect(seen).toBe('span')
    expect(span.getStore()).toBeUndefined()
  })
})

test('a thousand names, as nobody should have, are heard like the first', async () => {
  for (let i = 0; i < 1_000; i++) await traced(`test:many${i}`, never, async () => i)
  const { heard } = listen('keelson:test:many999')
  await traced(
    'test:many999',
    () => ({}),
    async () => 1,
  )
  expect(heard.length).toBe(4)
})
