import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { context, KernelError, type Tx } from '@keelson/kernel'
import {
  reply,
  unwrap,
  type Call,
  type Executed,
  type Operation,
  type Outcome,
  type StoredResponse,
} from '@keelson/idempotency'
import { databases, type Orders } from './orders.ts'

let keys = 0
const callOf = (more: Partial<Call> = {}): Call => ({
  scope: 'm1',
  op: 'POST /orders',
  key: `key-${keys++}`,
  input: { sku: 'tea' },
  ...more,
})
const executed = (outcome: Outcome<StoredResponse>): Executed<StoredResponse> => {
  if (!outcome.ok) throw outcome.error()
  return outcome
}
const text = (outcome: Outcome<StoredResponse>): string => Buffer.from(unwrap(outcome).body).toString()

/** What an ORM does that opens a transaction on the driver's own client. */
async function endOnRaw(tx: Tx, statements: string): Promise<void> {
  const raw = tx.raw as { exec?(text: string): Promise<unknown>; query(text: string): Promise<unknown> }
  await (raw.exec === undefined ? raw.query(statements) : raw.exec(statements))
}

describe.each(Object.entries(databases))('transaction() on %s', (name, open) => {
  let orders: Orders
  let before: Awaited<ReturnType<Orders['count']>>

  beforeAll(async () => {
    orders = await open(`idempotency_${name.toLowerCase()}`)
  })
  afterAll(() => orders.close())

  /** What the calls since `mark()` have left. */
  const mark = async (): Promise<void> => void (before = await orders.count())
  const left = async (): Promise<number[]> => {
    const now = await orders.count()
    return [now.orders - before.orders, now.outbox - before.outbox, now.records - before.records]
  }

  test('a first call commits row, effect and record, and its repeat gets the same bytes', async () => {
    await mark()
    const call = callOf()
    const first = executed(await orders.idempotency.transaction(call, orders.place))
    const runs = orders.runs()
    const second = executed(await orders.idempotency.transaction(call, orders.place))
    expect(first).toMatchObject({ kind: 'executed', replayed: false, stored: true, attempt: 1 })
    expect(second).toEqual({ ...first, kind: 'replayed', replayed: true })
    expect(second.value.headers).toEqual([
      ['Content-Type', 'application/json; charset=utf-8'],
      ['Location', '/orders/1'],
    ])
    expect(orders.runs()).toBe(runs)
    expect(await left()).toEqual([1, 1, 1])
  })

  test('fifty at once are one run and fifty equal answers', async () => {
    await mark()
    const call = callOf()
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => orders.idempotency.transaction(call, orders.place)),
    )
    expect(new Set(outcomes.map(text)).size).toBe(1)
    expect(outcomes.filter((outcome) => executed(outcome).kind === 'executed')).toHaveLength(1)
    expect(await left()).toEqual([1, 1, 1])
  })

  test('two instances on one database are one run', async () => {
    await mark()
    const call = callOf()
    const other = orders.another()
    const outcomes = await Promise.all([
      orders.idempotency.transaction(call, orders.place),
      other.transaction(call, orders.place),
    ])
    expect(text(outcomes[0])).toBe(text(outcomes[1]))
    expect(await left()).toEqual([1, 1, 1])
  })

  test('another payload is refused, done or in flight, and leaves nothing', async () => {
    await mark()
    const call = callOf({ lease: '1h' })
    const started = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const first = orders.idempotency.transaction(call, async (tx, operation) => {
      started.resolve()
      await go.promise
      return orders.place(tx, operation)
    })
    await started.promise
    const other = { ...call, input: { sku: 'coffee' } }
    expect(await orders.idempotency.transaction(other, orders.place)).toMatchObject({ ok: false, code: 'KEY_REUSED' })
    go.resolve()
    await first
    expect(await orders.idempotency.transaction(other, orders.place)).toMatchObject({ ok: false, code: 'KEY_REUSED' })
    expect(await left()).toEqual([1, 1, 1])
  })

  test('a wrong payload in flight does not get the right one refused', async () => {
    const call = callOf()
    const first = await orders.idempotency.transaction(call, orders.place)
    const [wrong, right] = await Promise.all([
      orders.idempotency.transaction({ ...call, input: 'other' }, orders.place),
      orders.idempotency.transaction(call, orders.place),
    ])
    expect(wrong).toMatchObject({ ok: false, code: 'KEY_REUSED' })
    expect(text(right)).toBe(text(first))
  })

  test('the order of members and the spelling of numbers are the same payload', async () => {
    const call = callOf({ input: { a: 1, b: [{ x: 1, y: 2 }] } })
    await orders.idempotency.transaction(call, orders.place)
    const again = await orders.idempotency.transaction(
      { ...call, input: { b: [{ y: 2, x: 1.0 }], a: 1 } },
      orders.place,
    )
    expect(again).toMatchObject({ ok: true, kind: 'replayed' })
  })

  test('duplicates whose fingerprints cannot be compared are counted, in process and by the store', async () => {
    const { input: _, ...call } = callOf()
    const one = orders.another()
    const skipped = () => {
      const family = one.metrics().find(({ name }) => name === 'keelson_idempotency_fingerprint_skipped_total')
      return family?.samples.reduce((sum, { value }) => sum + value, 0)
    }
    const raw = { ...call, fingerprint: { alg: 'raw', digest: new Uint8Array(32) } } as const
    const json = { ...call, input: { sku: 'tea' } }
    const both = await Promise.all([one.transaction(raw, orders.place), one.transaction(json, orders.place)])
    expect(executed(both[1])).toMatchObject({ kind: 'replayed', waited: true })
    expect(skipped()).toBe(1)
    expect(executed(await one.transaction(json, orders.place))).toMatchObject({ kind: 'replayed', waited: false })
    expect(skipped()).toBe(2)
    await one.transaction(raw, orders.place)
    expect(skipped()).toBe(2)
  })

  test('another tenant, user or operation with the same key is another call', async () => {
    await mark()
    const call = callOf({ by: 'anna' })
    for (const more of [{}, { scope: 'm2' }, { by: 'bert' }, { op: 'POST /refunds' }]) {
      const outcome = await orders.idempotency.transaction({ ...call, ...more }, orders.place)
      expect(outcome).toMatchObject({ ok: true, kind: 'executed' })
    }
    const { by: _, ...nobody } = call
    expect(await orders.idempotency.transaction(nobody, orders.place)).toMatchObject({ kind: 'executed' })
    expect(await left()).toEqual([5, 5, 5])
  })

  test('a 4xx is remembered with its effects and without its business rows', async () => {
    await mark()
    const call = callOf()
    const refuse = async (tx: Parameters<typeof orders.place>[0]) => {
      await orders.insert(tx, 'gone')
      return reply(422, { why: 'no stock' }, [orders.outbox('refused')])
    }
    const first = executed(await orders.idempotency.transaction(call, refuse))
    expect(first).toMatchObject({ stored: true, value: { status: 422 } })
    const again = executed(await orders.idempotency.transaction(call, orders.place))
    expect(again).toMatchObject({ kind: 'replayed', value: { status: 422 } })
    expect(await left()).toEqual([0, 1, 1])
  })

  test('a 4xx after a failed statement is remembered', async () => {
    await mark()
    const call = callOf()
    const outcome = await orders.idempotency.transaction(call, async (tx) => {
      await orders.insert(tx, 'gone')
      await orders.insert(tx, 'x'.repeat(30)).catch(() => {})
      return reply(400, 'too long', [orders.outbox('refused')])
    })
    expect(outcome).toMatchObject({ ok: true, stored: true })
    expect(await left()).toEqual([0, 1, 1])
  })

  test.each([401, 403, 408, 409, 425, 429, 500, 503])(
    '%i leaves nothing, and a repeat is a clean first run',
    async (status) => {
      await mark()
      const call = callOf()
      const outcome = await orders.idempotency.transaction(call, async (tx) => {
        await orders.insert(tx, 'gone')
        return reply(status, 'not now', [orders.outbox('gone')])
      })
      expect(outcome).toMatchObject({ ok: true, stored: false, value: { status } })
      expect(await left()).toEqual([0, 0, 0])
      expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({ kind: 'executed', attempt: 1 })
      expect(await left()).toEqual([1, 1, 1])
    },
  )

  test('a throw leaves nothing, comes out as the same object, and a repeat is a clean first run', async () => {
    await mark()
    const call = callOf()
    const boom = new Error('boom')
    const failing = orders.idempotency.transaction(call, async (tx) => {
      await orders.insert(tx, 'gone')
      throw boom
    })
    await expect(failing).rejects.toBe(boom)
    expect(await left()).toEqual([0, 0, 0])
    expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({ kind: 'executed' })
  })

  test('when the first of many fails, exactly one of the others runs next', async () => {
    await mark()
    const call = callOf()
    let failed = 0
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () =>
        orders.idempotency.transaction(call, async (tx, operation) => {
          if (failed++ === 0) throw new Error('first')
          return orders.place(tx, operation)
        }),
      ),
    )
    expect(failed).toBe(2)
    const others = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [executed(outcome.value)] : []))
    expect(others).toHaveLength(19)
    // One asked the store; the rest waited for it and asked nobody.
    expect(others.filter(({ waited }) => !waited)).toHaveLength(1)
    expect(await left()).toEqual([1, 1, 1])
  })

  test('a swallowed SQL error is never a success', async () => {
    await mark()
    const swallowing = orders.idempotency.transaction(callOf(), async (tx) => {
      await orders.insert(tx, 'x'.repeat(30)).catch(() => {})
      return reply(201, 'as if')
    })
    await expect(swallowing).rejects.toMatchObject({ code: '23514' })
    expect(await left()).toEqual([0, 0, 0])
  })

  test('an effect that fails takes everything back', async () => {
    await mark()
    const failing = orders.idempotency.transaction(callOf(), async (tx) =>
      reply(201, await orders.insert(tx, 'tea'), [
        orders.outbox('tea'),
        { kind: 'test.broken', statements: () => [{ text: 'insert into nowhere values (1)' }] },
      ]),
    )
    await expect(failing).rejects.toMatchObject({ code: '42P01' })
    expect(await left()).toEqual([0, 0, 0])
  })

  test.each(['rollback', 'commit', '/* x */ COMMIT'])('an effect that says %j is refused', async (statement) => {
    await mark()
    const ending = orders.idempotency.transaction(callOf(), async (tx) =>
      reply(201, await orders.insert(tx, 'tea'), [{ kind: 'test.end', statements: () => [{ text: statement }] }]),
    )
    await expect(ending).rejects.toMatchObject({ code: 'EFFECT_INVALID', message: expect.stringContaining('test.end') })
    expect(await left()).toEqual([0, 0, 0])
  })

  test.each(['rollback; begin', 'rollback'])(
    '%j behind our back is no success, and leaves nothing',
    async (statement) => {
      await mark()
      const call = callOf()
      const ending = orders.idempotency.transaction(call, async (tx) => {
        await orders.insert(tx, 'gone')
        await endOnRaw(tx, statement)
        return reply(201, 'as if', [orders.outbox('gone')])
      })
      await expect(ending).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      expect(await left()).toEqual([0, 0, 0])
      expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({ kind: 'executed' })
    },
  )

  test.each(['commit; begin', 'commit'])(
    '%j behind our back is no success, and its key never runs again',
    async (statement) => {
      await mark()
      const call = callOf()
      const ending = orders.idempotency.transaction(call, async (tx) => {
        await orders.insert(tx, 'early')
        await endOnRaw(tx, statement)
        return reply(201, 'as if', [orders.outbox('late')])
      })
      await expect(ending).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      expect(await orders.idempotency.transaction(call, orders.place)).toMatchObject({
        ok: false,
        code: 'OUTCOME_UNKNOWN',
      })
      expect(await left()).toEqual([1, 0, 1])
      // Somebody has looked what became of it.
      expect(await orders.idempotency.resolve(call, { value: reply(201, 'as if') })).toBe(true)
      const repeat = await orders.idempotency.transaction(call, orders.place)
      expect(repeat).toMatchObject({ ok: true, replayed: true, value: reply(201, 'as if').response })
      expect(await left()).toEqual([1, 0, 1])
    },
  )

  test('a work that deletes its own record commits nothing', async () => {
    await mark()
    const deleting = orders.idempotency.transaction(callOf(), async (tx) => {
      await tx.query(`delete from ${orders.schema}.idempotency where op = 'POST /orders' and state = 'unknown'`)
      return reply(201, await orders.insert(tx, 'gone'))
    })
    await expect(deleting).rejects.toThrow(/keelson: records of this claim: 0/)
    expect(await left()).toEqual([0, 0, 0])
  })

  test('a COMMIT_UNKNOWN that the work throws is its own: it does not run again', async () => {
    const own = new KernelError('COMMIT_UNKNOWN', 'of another database')
    let runs = 0
    const failing = orders.idempotency.transaction(callOf(), async () => {
      runs++
      throw own
    })
    await expect(failing).rejects.toBe(own)
    expect(runs).toBe(1)
  })

  test('an effect without statements is refused, unless its caller accepts best effort', async () => {
    await mark()
    let performed = 0
    const effect = { kind: 'test.mail', perform: async () => void performed++ }
    const work = async (tx: Parameters<typeof orders.place>[0]) => reply(201, await orders.insert(tx, 'tea'), [effect])
    await expect(orders.idempotency.transaction(callOf(), work)).rejects.toMatchObject({
      code: 'EFFECT_NOT_TRANSACTIONAL',
    })
    expect([performed, ...(await left())]).toEqual([0, 0, 0, 0])
    await orders.idempotency.transaction({ ...callOf(), bestEffort: true }, work)
    expect([performed, ...(await left())]).toEqual([1, 1, 0, 1])
  })

  test('afterCommit runs once, after the commit, and never for a replay', async () => {
    const call = callOf()
    const seen: number[] = []
    const effect = {
      kind: 'test.hint',
      statements: () => [],
      afterCommit: async () => void seen.push((await orders.count()).orders),
    }
    const work = async (tx: Parameters<typeof orders.place>[0]) => reply(201, await orders.insert(tx, 'tea'), [effect])
    const { orders: before } = await orders.count()
    await orders.idempotency.transaction(call, work)
    await orders.idempotency.transaction(call, work)
    expect(seen).toEqual([before + 1])
  })

  test.each([
    ['nothing', undefined],
    ['a plain object', { status: 201 }],
    ['a promise of a string', 'ok'],
  ])('%s instead of a reply is REPLY_INVALID and leaves nothing', async (_, wrong) => {
    await mark()
    const failing = orders.idempotency.transaction(callOf(), async (tx) => {
      await orders.insert(tx, 'gone')
      return wrong as never
    })
    await expect(failing).rejects.toMatchObject({ name: 'IdempotencyError', code: 'REPLY_INVALID' })
    expect(await left()).toEqual([0, 0, 0])
  })

  test('an answer over maxStoredBytes is given in full once, and its key never runs again', async () => {
    await mark()
    const small = orders.another({ maxStoredBytes: 100 })
    const call = callOf()
    const big = async () => reply(200, 'x'.repeat(200))
    expect(executed(await small.transaction(call, big))).toMatchObject({ stored: false })
    expect(await small.transaction(call, big)).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
    expect(await left()).toEqual([0, 0, 1])
  })

  test('any bytes and any headers come back as they were', async () => {
    const call = callOf()
    const body = new Uint8Array(1024).map((_, i) => i)
    const headers: [string, string][] = [
      ['X-B', '2'],
      ['x-a', 'caf\u00e9'],
      ['X-B', '1'],
      ['Content-Type', 'application/x-parcel'],
    ]
    const first = await orders.idempotency.transaction(call, async () => reply(200, body, [], headers))
    const again = await orders.idempotency.transaction(call, orders.place)
    expect(unwrap(again)).toEqual(unwrap(first))
    expect(unwrap(again)).toEqual({ status: 200, headers, body })
  })

  test('an expired record is taken by one of two at once, and the 4xx of its next run keeps the claim', async () => {
    await mark()
    const call = callOf()
    const short = { ...call, retain: 1 }
    await orders.idempotency.transaction(short, orders.place)
    await (orders.db as { query(sql: string): Promise<unknown> }).query('select pg_sleep(0.005)')
    const refuse = async (tx: Parameters<typeof orders.place>[0]) => {
      await orders.insert(tx, 'gone')
      return reply(422, 'second life')
    }
    const outcomes = await Promise.all([
      orders.idempotency.transaction(call, refuse),
      orders.another().transaction(call, refuse),
    ])
    expect(outcomes.map((outcome) => executed(outcome).kind).toSorted()).toEqual(['executed', 'replayed'])
    expect(await left()).toEqual([1, 1, 1])
  })

  test('the context reaches effects and record', async () => {
    const call = callOf()
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    const values = { correlationId: 'corr-12345678', traceparent, principal: { id: 'anna' } }
    let seen: object = {}
    const effect = { kind: 'test.context', statements: (ctx: object) => ((seen = ctx), []) }
    await context.run(values, () => orders.idempotency.transaction(call, async () => reply(200, 'ok', [effect])))
    expect(seen).toMatchObject({ ...values, scope: 'm1', op: 'POST /orders' })
    const again = executed(await orders.idempotency.transaction(call, orders.place))
    expect(again.firstTraceparent).toBe(traceparent)
  })

  test('a duplicate waits no longer than it is told', async () => {
    const call = callOf()
    const started = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const first = orders.idempotency.transaction(call, async (tx, operation) => {
      started.resolve()
      await go.promise
      return orders.place(tx, operation)
    })
    await started.promise
    expect(await orders.idempotency.transaction({ ...call, wait: 0 }, orders.place)).toMatchObject({
      code: 'KEY_IN_USE',
      retryable: true,
      retryAfter: 1000,
    })
    const stop = new AbortController()
    const waiting = orders.idempotency.transaction({ ...call, wait: '1h', signal: stop.signal }, orders.place)
    stop.abort()
    expect(await waiting).toMatchObject({ code: 'KEY_IN_USE' })
    const patient = orders.idempotency.transaction(call, orders.place)
    go.resolve()
    expect(executed(await patient)).toMatchObject({ kind: 'replayed', waited: true })
    await first
  })

  const signals = [
    ['a signal', '30s', (signal: AbortSignal) => signal],
    // Asked for once the key is known to be held: after half of storeTimeout.
    ['a function', '8s', (signal: AbortSignal) => () => signal],
  ] as const
  // PGlite has one connection: a second instance waits for that, not for the key.
  test.each(name === 'Postgres' ? signals : [])(
    '%s ends the waiting for another process too, and never the work',
    async (_, storeTimeout, given) => {
      const call = callOf({ lease: '1h' })
      const started = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const first = orders.idempotency.transaction(call, async (tx, operation) => {
        started.resolve()
        await go.promise
        return orders.place(tx, operation)
      })
      await started.promise
      const other = orders.another({ storeTimeout, maxWaiters: { connections: 1 } })
      const runs = orders.runs()
      const stop = new AbortController()
      const waiting = other.transaction({ ...call, wait: '1h', signal: given(stop.signal) }, orders.place)
      setTimeout(() => stop.abort(), 5_000)
      expect(await waiting).toMatchObject({ ok: false, code: 'KEY_IN_USE', retryAfter: 1000 })
      const late = { ...call, wait: '1h', signal: given(stop.signal) } as const
      expect(await other.transaction(late, orders.place)).toMatchObject({ ok: false, code: 'KEY_IN_USE' })
      go.resolve()
      expect(executed(await first)).toMatchObject({ kind: 'executed' })
      // The connection that was left is free again, and what waited on it has run nothing.
      expect(executed(await other.transaction({ ...call, wait: '1h' }, orders.place))).toMatchObject({
        kind: 'replayed',
      })
      expect(orders.runs()).toBe(runs + 1)
      expect((await other.inspect()).state).toBe('ok')
      const own = new AbortController()
      const working = other.transaction({ ...callOf(), signal: given(own.signal) }, async (tx, operation) => {
        own.abort()
        return orders.place(tx, operation)
      })
      expect(executed(await working)).toMatchObject({ kind: 'executed', stored: true })
    },
  )

  test('over the caps a duplicate is refused, not queued', async () => {
    const call = callOf()
    const few = orders.another({ maxWaiters: { perKey: 2 } })
    const go = Promise.withResolvers<void>()
    const first = few.transaction(call, async (tx, operation) => {
      await go.promise
      return orders.place(tx, operation)
    })
    const others = [1, 2, 3].map(() => few.transaction(call, orders.place))
    expect(await others[2]).toMatchObject({ ok: false, code: 'TOO_MANY_WAITERS' })
    go.resolve()
    expect((await Promise.all([first, others[0]!, others[1]!])).every((outcome) => outcome.ok)).toBe(true)
  })

  test("the operation's signal aborts when its transaction has ended", async () => {
    let signal: AbortSignal | undefined
    let unasked: Operation | undefined
    const outcome = await orders.idempotency.transaction(callOf(), async (_tx, operation) => {
      signal = operation.signal
      return reply(200, String(signal.aborted))
    })
    expect(text(outcome)).toBe('false')
    await orders.idempotency.transaction(callOf(), async (_tx, operation) => {
      unasked = operation
      return reply(200)
    })
    expect(signal).toMatchObject({ aborted: true, reason: { name: 'AbortError' } })
    expect(unasked?.signal).toMatchObject({ aborted: true, reason: { name: 'AbortError' } })
  })

  test('a closed instance refuses', async () => {
    const other = orders.another()
    await other.close()
    await expect(other.transaction(callOf(), orders.place)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
