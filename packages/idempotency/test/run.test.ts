import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  createIdempotency,
  unwrap,
  type Execution,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
} from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { stores, type OpenStore } from './stores.ts'

/** For what must work: a machine that stands still is no outage, and keeps nobody from waiting. */
const PATIENT = { storeTimeout: '20s', wait: '30s' } as const

describe.each(Object.keys(stores))('run() on %s', (name) => {
  let opened: OpenStore
  const instances: Idempotency[] = []
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(async () => {
    for (const instance of instances) await instance.close()
    await opened[Symbol.asyncDispose]()
  })

  /** Another process, as far as the store can tell. */
  function another(more: Partial<IdempotencyOptions> = {}): Idempotency {
    const made: Idempotency = createIdempotency<IdempotencyStore>({ store: opened.store, ...PATIENT, ...more })
    instances.push(made)
    return made
  }
  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

  test('a repeat gets the first value and does not run', async () => {
    const idempotency = another()
    const call = { ...someCall(), input: { amount: 1, currency: 'EUR' } }
    let runs = 0
    const work = async (): Promise<object> => ({ charge: `ch_${++runs}`, at: new Date(0) })
    const first = await idempotency.run(call, work)
    expect(first).toMatchObject({
      ok: true,
      kind: 'executed',
      replayed: false,
      waited: false,
      stored: true,
      attempt: 1,
    })
    // What the first caller gets is what a repeat gets: a date has become its text.
    expect(unwrap(first)).toEqual({ charge: 'ch_1', at: '1970-01-01T00:00:00.000Z' })
    const again = await another().run({ ...call, input: { currency: 'EUR', amount: 1 } }, work)
    expect(again).toMatchObject({ ok: true, kind: 'replayed', replayed: true, stored: true, attempt: 1 })
    expect(again.ok && again.operationId).toBe(first.ok && first.operationId)
    expect(unwrap(again)).toEqual(unwrap(first))
    expect(runs).toBe(1)
    const other = await idempotency.run({ ...call, input: { amount: 2 } }, work)
    expect(other).toMatchObject({ ok: false, code: 'KEY_REUSED', retryable: false })
  })

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'é\u0000'],
    ['nothing but a list', []],
  ])('%s is a value', async (_, value) => {
    const call = someCall()
    const idempotency = another()
    expect(unwrap(await idempotency.run(call, async () => value))).toEqual(value)
    expect(unwrap(await another().run(call, async () => 'other'))).toEqual(value)
  })

  test('a codec of one’s own keeps bytes as they are', async () => {
    const codec = { encode: (v: Uint8Array) => v, decode: (b: Uint8Array) => new Uint8Array(b) }
    const call = { ...someCall(), codec }
    const value = new Uint8Array([0, 255, 10, 13])
    await another().run(call, async () => value)
    expect(unwrap(await another().run(call, async () => new Uint8Array(0)))).toEqual(value)
  })

  test('fifty duplicates of one process are one run, and their payload is still compared', async () => {
    const idempotency = another()
    const call = { ...someCall(), input: 1 }
    const work = vi.fn(async () => {
      await sleep(30)
      return 'done'
    })
    const calls = Array.from({ length: 50 }, () => idempotency.run(call, work))
    const wrong = idempotency.run({ ...call, input: 2 }, work)
    const outcomes = await Promise.all(calls)
    expect(work).toHaveBeenCalledTimes(1)
    expect(outcomes.map(unwrap)).toEqual(Array.from({ length: 50 }, () => 'done'))
    expect(outcomes.filter(({ ok, ...o }) => ok && (o as { kind: string }).kind === 'executed')).toHaveLength(1)
    expect(await wrong).toMatchObject({ ok: false, code: 'KEY_REUSED' })
  })

  test('another payload is refused at once while the first run goes on, also by who does not wait', async () => {
    const idempotency = another()
    const call = { ...someCall(), input: 1 }
    const [started, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const first = idempotency.run(call, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    for (const asked of [idempotency, another()]) {
      const wrong = await asked.run({ ...call, input: 2, wait: 0 }, async () => {})
      expect(wrong).toMatchObject({ ok: false, code: 'KEY_REUSED' })
    }
    release.resolve()
    await first
  })

  test('a duplicate of another process waits for the first and gets its value', async () => {
    const call = someCall()
    const started = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const first = another().run(call, async () => {
      started.resolve()
      await release.promise
      return 'first'
    })
    await started.promise
    const busy = Promise.withResolvers<void>()
    const store: IdempotencyStore = {
      ...opened.store,
      async begin(...asked) {
        const begin = await opened.store.begin(...asked)
        if (begin.kind === 'busy') busy.resolve()
        return begin
      },
    }
    const second = another({ store }).run({ ...call, wait: '30s' }, async () => 'second')
    await busy.promise
    release.resolve()
    expect(await second).toMatchObject({ ok: true, kind: 'replayed', waited: true, value: 'first' })
    await first
  })

  test('a duplicate that may not wait is told how long the lease is', async () => {
    const call = someCall()
    const release = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const first = another().run(call, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    const refused = await another().run({ ...call, wait: 0 }, async () => {})
    expect(refused).toMatchObject({ ok: false, code: 'KEY_IN_USE', retryable: true })
    expect(!refused.ok && refused.retryAfter).toBeGreaterThan(10_000)
    const controller = new AbortController()
    const waiting = another().run({ ...call, wait: '1h', signal: controller.signal }, async () => {})
    setTimeout(() => controller.abort(), 20)
    expect(await waiting).toMatchObject({ ok: false, code: 'KEY_IN_USE' })
    release.resolve()
    await first
  })

  test('a context that nobody checked stops no work, or is told what is wrong', async () => {
    const idempotency = another()
    for (const correlationId of [7, {}, 'a\0b', '\ud800'] as never[]) {
      const run = () => idempotency.run(someCall(), async () => 'done')
      expect(unwrap(await context.run({ correlationId }, run))).toBe('done')
    }
    expect(await idempotency.trace('a\0b')).toEqual([])
    const work = vi.fn(async () => 1)
    const principal = { id: 7 as never }
    await expect(context.run({ principal }, () => idempotency.run(someCall(), work))).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: "the id of the context's principal must be a text (got number)",
    })
    expect(work).not.toHaveBeenCalled()
  })

  test('a function that answers no signal is told so, and leaves no waiter behind', async () => {
    const call = { ...someCall(), wait: '1h', signal: (() => new AbortController()) as never } as const
    const release = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const idempotency = another()
    const first = idempotency.run(call, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    for (const one of [idempotency, another()]) {
      await expect(one.run(call, async () => {})).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: '"signal" must be an AbortSignal or a function that answers one',
      })
      expect((await one.inspect()).counts.waiters).toBe(0)
    }
    release.resolve()
    await first
  })

  test('a signal that is a function is asked for only when there is something to wait for', async () => {
    let asked = 0
    const controller = new AbortController()
    const signal = (): AbortSignal => (asked++, controller.signal)
    const call = { ...someCall(), wait: '1h', signal } as const
    const release = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const idempotency = another()
    const first = idempotency.run(call, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    expect(asked).toBe(0)
    const waiting = [idempotency, another()].map((one) => one.run(call, async () => {}))
    setTimeout(() => controller.abort(), 20)
    for (const refused of await Promise.all(waiting)) expect(refused).toMatchObject({ ok: false, code: 'KEY_IN_USE' })
    release.resolve()
    await first
    await idempotency.run(call, async () => {})
    expect(asked).toBe(2)
  })

  test('a work that throws leaves the key free, and exactly one of those who waited runs next', async () => {
    const idempotency = another()
    const call = someCall()
    const failure = new Error('no money')
    let runs = 0
    const work = async (): Promise<string> => {
      await sleep(20)
      if (++runs === 1) throw failure
      return 'second'
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => idempotency.run(call, work)))
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([{ status: 'rejected', reason: failure }])
    expect(runs).toBe(2)
    expect(unwrap(await another().run(call, work))).toBe('second')
  })

  test('what was saved before a throw is there for the next attempt, in whatever process', async () => {
    const call = someCall()
    const charges: string[] = []
    const work = async (x: Execution): Promise<string> => {
      if (x.checkpoint === undefined) {
        charges.push('charged')
        await x.save('charged', { id: 'ch_1' })
      }
      if (x.attempt < 3) throw new Error('the mail server is away')
      return (x.checkpoint!.data as { id: string }).id
    }
    await expect(another().run(call, work)).rejects.toThrow('away')
    await expect(another().run(call, work)).rejects.toThrow('away')
    expect(await another().run(call, work)).toMatchObject({ ok: true, attempt: 3, value: 'ch_1' })
    expect(charges).toEqual(['charged'])
    // Without anything saved, and where nothing has started, the next run is a first one.
    const other = { ...someCall(), guarantee: 'at-most-once' as const }
    const refuse = async (x: Execution): Promise<string> => {
      await x.save('checked')
      throw x.notStarted(new Error('card number missing'))
    }
    await expect(another().run(other, refuse)).rejects.toThrow('card number')
    expect(await another().run(other, async (x) => x.checkpoint ?? 'none')).toMatchObject({ attempt: 1, value: 'none' })
  })

  test('at most once: what threw is unknown until somebody says how it ended', async () => {
    const idempotency = another({ guarantee: 'at-most-once' })
    const call = someCall()
    const failure = new Error('timeout of the bank')
    await expect(idempotency.run(call, () => Promise.reject(failure))).rejects.toBe(failure)
    const work = vi.fn(async () => 'again')
    expect(await another({ guarantee: 'at-most-once' }).run(call, work)).toMatchObject({
      ok: false,
      code: 'OUTCOME_UNKNOWN',
      retryable: false,
    })
    // Nor does somebody with the other guarantee run what nobody knows the end of.
    expect(await another().run(call, work)).toMatchObject({ ok: false, code: 'OUTCOME_UNKNOWN' })
    expect(work).not.toHaveBeenCalled()
    expect(await idempotency.find(call)).toMatchObject({ state: 'unknown', attempt: 1 })
    expect(await idempotency.resolve(call, { value: 'charged' })).toBe(true)
    expect(unwrap(await idempotency.run(call, work))).toBe('charged')
    expect(await idempotency.resolve(call, 'retry')).toBe(false)
    expect(await idempotency.forget(call)).toBe(true)
    expect(await idempotency.find(call)).toBeNull()
    expect(unwrap(await idempotency.run(call, work))).toBe('again')
  })

  test('at most once: what had not started may run again', async () => {
    const idempotency = another({ guarantee: 'at-most-once' })
    const call = someCall()
    const failure = new Error('card number missing')
    const refuse = async (x: Execution): Promise<string> => {
      throw x.notStarted(failure)
    }
    await expect(idempotency.run(call, refuse)).rejects.toBe(failure)
    expect(unwrap(await idempotency.run(call, async () => 'charged'))).toBe('charged')
  })

  test('an owner that was lost is followed by the next attempt, with what it saved', async () => {
    const call = { ...someCall(), lease: '100ms' as const }
    const zombie = Promise.withResolvers<void>()
    const saved = Promise.withResolvers<void>()
    const fences: bigint[] = []
    // Its process stands still: nothing renews the lease.
    const stopped = another({ clock: stoppedClock() })
    const first = stopped.run(call, async (x) => {
      fences.push(x.fence)
      expect(x).toMatchObject({ attempt: 1, checkpoint: undefined })
      await x.save('charged', { charge: 'ch_1' })
      saved.resolve()
      await zombie.promise
      return 'zombie'
    })
    await saved.promise
    const second = await another().run({ ...call, wait: '30s' }, async (x) => {
      fences.push(x.fence)
      expect(x).toMatchObject({ attempt: 2, checkpoint: { name: 'charged', data: { charge: 'ch_1' } } })
      return 'winner'
    })
    expect(second).toMatchObject({ ok: true, kind: 'executed', attempt: 2, value: 'winner' })
    expect(fences[1]!).toBeGreaterThan(fences[0]!)
    zombie.resolve()
    expect(await first).toMatchObject({ ok: true, kind: 'replayed', value: 'winner', attempt: 2 })
  })

  test('a run that lost its lease to one that still runs, or has failed, answers LEASE_LOST', async () => {
    const call = { ...someCall(), lease: '100ms' as const, wait: 0 }
    const zombie = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const stopped = another({ clock: stoppedClock() })
    const first = stopped.run(call, async (x) => {
      started.resolve()
      await zombie.promise
      await expect(x.save('late', 1)).rejects.toMatchObject({ code: 'LEASE_LOST' })
      expect(x.signal.aborted).toBe(true)
      return 'zombie'
    })
    await started.promise
    const release = Promise.withResolvers<void>()
    const running = Promise.withResolvers<void>()
    const second = another().run({ ...call, wait: '30s', lease: '10s' }, async () => {
      running.resolve()
      await release.promise
      throw new Error('the winner fails')
    })
    await running.promise
    zombie.resolve()
    expect(await first).toMatchObject({ ok: false, code: 'LEASE_LOST', retryable: true })
    release.resolve()
    await expect(second).rejects.toThrow('the winner fails')
  })

  test('a run whose lease is over asks a store that seems away again before it tells a value of its own', async () => {
    const call = { ...someCall(), lease: '100ms' as const }
    const release = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const refuse = async (): Promise<never> => {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    }
    let settles = 0
    const { settle } = opened.store
    // Its guard is open because of its own calls; the store is well.
    const away: IdempotencyStore = {
      ...opened.store,
      touch: refuse,
      settle: (...args) => (++settles <= 2 ? refuse() : settle(...args)),
    }
    const first = another({ store: away }).run(call, async () => {
      started.resolve()
      await release.promise
      return 'zombie'
    })
    await started.promise
    expect(unwrap(await another().run({ ...call, wait: '30s' }, async () => 'winner'))).toBe('winner')
    release.resolve()
    expect(await first).toMatchObject({ ok: true, kind: 'replayed', value: 'winner' })
  })

  test('at most once: a lost owner is never followed', async () => {
    const call = { ...someCall(), lease: '100ms' as const, guarantee: 'at-most-once' as const }
    const zombie = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const stopped = another({ clock: stoppedClock() })
    const first = stopped.run(call, async () => {
      started.resolve()
      await zombie.promise
      return 'late but only'
    })
    await started.promise
    const work = vi.fn(async () => 'second')
    expect(await another().run({ ...call, wait: '30s' }, work)).toMatchObject({ ok: false, code: 'OUTCOME_UNKNOWN' })
    zombie.resolve()
    expect(await first).toMatchObject({ ok: true, kind: 'executed', value: 'late but only' })
    expect(unwrap(await another().run(call, work))).toBe('late but only')
    expect(work).not.toHaveBeenCalled()
  })

  test('a call has a limit of its own for its answer', async () => {
    const idempotency = another({ maxStoredBytes: 10 })
    const call = { ...someCall(), maxStoredBytes: 100 }
    expect(await idempotency.run(call, async () => 'x'.repeat(50))).toMatchObject({ stored: true })
  })

  test('an answer that is too large or has no bytes is told once, and its key never runs again', async () => {
    const idempotency = another({ maxStoredBytes: 10 })
    const long = 'x'.repeat(20)
    const call = someCall()
    expect(await idempotency.run(call, async () => long)).toMatchObject({ ok: true, value: long, stored: false })
    const work = vi.fn(async () => 'again')
    expect(await idempotency.run(call, work)).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
    const second = someCall()
    const value = { self: null as unknown, n: 1n }
    const outcome = await idempotency.run(second, async () => value)
    expect(outcome).toMatchObject({ ok: true, stored: false })
    expect(unwrap(outcome)).toBe(value)
    expect(await idempotency.run(second, work)).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
    expect(work).not.toHaveBeenCalled()
  })

  test('wrap() is the same as a function', async () => {
    let runs = 0
    const idempotency = another()
    const charge = idempotency.wrap(async (_id: string, cents: number) => `${++runs}: ${cents}`, {
      op: 'charge',
      scope: () => 'm1',
      key: (id) => id,
      input: (_, cents) => cents,
    })
    const id = randomUUID()
    expect(await charge(id, 100)).toBe('1: 100')
    expect(await charge(id, 100)).toBe('1: 100')
    await expect(charge(id, 200)).rejects.toMatchObject({ name: 'IdempotencyError', code: 'KEY_REUSED' })
  })

  test('consume() says what becomes of a message', async () => {
    const idempotency = another()
    const message = someCall()
    const work = vi.fn(async () => {})
    expect(await idempotency.consume(message, work)).toBe('processed')
    expect(await idempotency.consume(message, work)).toBe('duplicate')
    expect(work).toHaveBeenCalledTimes(1)
    const busy = someCall()
    const started = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const first = idempotency.consume(busy, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    const told = await another().consume({ ...busy, wait: 0 }, work)
    expect(told).toEqual({ busy: expect.any(Number) })
    release.resolve()
    expect(await first).toBe('processed')
    const unknown = { ...someCall(), guarantee: 'at-most-once' as const }
    await expect(idempotency.consume(unknown, () => Promise.reject(new Error('crash')))).rejects.toThrow('crash')
    expect(await idempotency.consume(unknown, work)).toEqual({ unknown: true })
    await idempotency.consume({ ...message, key: `${message.key}2`, input: 1 }, work)
    await expect(idempotency.consume({ ...message, key: `${message.key}2`, input: 2 }, work)).rejects.toMatchObject({
      code: 'KEY_REUSED',
    })
  })

  test('a replay links to the trace of its first run', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const call = someCall()
    await context.run({ traceparent, correlationId: 'corr-0001' }, () => another().run(call, async () => 1))
    expect(await another().run(call, async () => 2)).toMatchObject({ firstTraceparent: traceparent })
  })

  test('a duplicate that joins a run of its process links to it, or to the one that was replayed to both', async () => {
    const traceparent = (n: number) => `00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333${n}-01`
    const call = someCall()
    for (const [first, kind] of [
      [1, 'executed'],
      [3, 'replayed'],
    ] as const) {
      const idempotency = another()
      const run = (n: number) =>
        context.run({ traceparent: traceparent(n) }, () => idempotency.run(call, async () => 'done'))
      const [leader, joined] = await Promise.all([run(first), run(first + 1)])
      expect(leader).toMatchObject({ kind })
      expect(joined).toMatchObject({ kind: 'replayed', waited: true, firstTraceparent: traceparent(1) })
    }
    const untraced = { ...call, key: `${call.key}-untraced` }
    const idempotency = another()
    for (const outcome of await Promise.all([1, 2].map(() => idempotency.run(untraced, async () => 'done')))) {
      expect(outcome).not.toHaveProperty('firstTraceparent')
    }
  })

  test('effects need a store that shares its database, or the word of the caller', async () => {
    const idempotency = another()
    const performed: string[] = []
    const mail = (text: string) => ({ kind: 'test.mail', perform: async () => void performed.push(text) })
    const call = someCall()
    await expect(
      idempotency.run(call, async (x) => {
        x.effect(mail('refused'))
      }),
    ).rejects.toMatchObject({ code: 'EFFECT_NOT_TRANSACTIONAL' })
    expect(unwrap(await idempotency.run({ ...call, bestEffort: true }, async (x) => x.effect(mail('sent'))))).toBe(
      undefined,
    )
    expect(performed).toEqual(['sent'])
  })

  test('it says how it is', async () => {
    const idempotency = another()
    const release = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const call = someCall()
    const first = idempotency.run(call, async () => {
      started.resolve()
      await release.promise
    })
    await started.promise
    const second = idempotency.run(call, async () => {})
    await sleep(10)
    const status = await idempotency.inspect()
    expect(status).toMatchObject({
      name: 'idempotency',
      state: 'ok',
      counts: { inflight: 1, waiters: 1, owedSettles: 0 },
    })
    expect(status.oldestMs).toBeGreaterThan(0)
    release.resolve()
    await Promise.all([first, second])
    const calls = idempotency.metrics().find(({ name }) => name === 'keelson_idempotency_calls_total')!
    expect(calls.samples.map(({ labels, value }) => [labels, value])).toEqual(
      expect.arrayContaining([
        [{ mode: 'run', outcome: 'executed' }, 1],
        [{ mode: 'run', outcome: 'waited' }, 1],
      ]),
    )
  })

  test('what waits for an operator is listed where the store can, and ended by its id', async () => {
    const idempotency = another({ guarantee: 'at-most-once' })
    const call = someCall()
    const lost = (): Promise<never> => Promise.reject(new Error('lost'))
    await expect(idempotency.run(call, lost)).rejects.toThrow('lost')
    const rows = await idempotency.stuck({ limit: 1_000 })
    if (opened.store.stuck === undefined) return expect(rows).toBeUndefined()
    const { operationId } = (await idempotency.find(call))!
    const row = rows!.find((each) => each.operationId === operationId)!
    expect(row).toMatchObject({
      state: 'unknown',
      op: call.op,
      attempt: 1,
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    expect(JSON.stringify(row)).not.toContain(call.key)
    expect(await idempotency.resolve({ id: row.id }, 'retry')).toBe(true)
    expect(await idempotency.resolve({ id: row.id }, 'retry')).toBe(false)
    expect(unwrap(await idempotency.run(call, async () => 'again'))).toBe('again')
  })

  test('what is closed refuses, and says so', async () => {
    const idempotency: Idempotency = createIdempotency<IdempotencyStore>({
      store: { ...opened.store, close: async () => {} },
    })
    await idempotency.close()
    await expect(idempotency.run(someCall(), async () => 1)).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(idempotency.find(someCall())).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

/** A clock whose timers never fire, as in a process that stands still. */
function stoppedClock() {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    timer: () => ({ cancel() {} }),
    sleep: () => new Promise<void>(() => {}),
  }
}
