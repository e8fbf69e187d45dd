import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  createIdempotency,
  memoryStore,
  reply,
  unwrap,
  type IdempotencyOptions,
  type TransactionalIdempotency,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import type { Effect, EffectContext, ReplayGuard } from '@keelson/kernel'
import { migrate } from '@keelson/kernel/postgres'
import { virtualClock } from '@keelson/kernel/testing'

let db: PGlite
beforeAll(async () => {
  db = new PGlite()
  await migrate(db, [postgresStore(db)])
})
afterAll(() => db.close())

let keys = 0
const someCall = () => ({ scope: 'm1', op: 'POST /orders', key: `key-${keys++}` })
const hinted = (kind: string, replayHint?: unknown): Effect => ({
  kind,
  statements: () => [],
  ...(replayHint === undefined ? {} : { replayHint }),
})

/** Says what it was asked. */
function guardOf(kind: string, answer: () => Promise<void> = async () => {}) {
  const asked: { hints: readonly unknown[]; ctx: EffectContext }[] = []
  const guard: ReplayGuard = {
    kind,
    async beforeReplay(hints, ctx) {
      asked.push({ hints, ctx })
      await answer()
    },
  }
  return { guard, asked }
}

function instance(o: Omit<IdempotencyOptions, 'store'>): TransactionalIdempotency {
  return createIdempotency({ store: postgresStore(db), storeTimeout: '10s', ...o })
}

function failuresOf(of: TransactionalIdempotency): number {
  const family = of.metrics().find(({ name }) => name === 'keelson_idempotency_guard_failures_total')
  return family?.samples[0]?.value ?? 0
}

/** The same call by both ways; `effects` of the first run. */
const ways = {
  transaction: async (idempotency: TransactionalIdempotency, call: ReturnType<typeof someCall>, of: Effect[]) =>
    idempotency.transaction(call, async () => reply(201, { made: true }, of)),
  run: async (idempotency: TransactionalIdempotency, call: ReturnType<typeof someCall>, of: Effect[]) =>
    idempotency.run(call, async (x) => {
      x.effect(...of)
      return { made: true }
    }),
}

describe.each(Object.entries(ways))('a replay of %s()', (_, way) => {
  const effects = [hinted('cache.drop', { tag: 'a' }), hinted('cache.drop', { tag: 'b' }), hinted('test.other', 1)]

  test('first asks each guard, with the hints of its kind and the operation of the first run', async () => {
    const [one, two, none] = [guardOf('cache.drop'), guardOf('cache.drop'), guardOf('test.none')]
    const idempotency = instance({ replayGuards: [one.guard, two.guard, none.guard] })
    const call = someCall()
    const first = await way(idempotency, call, effects)
    expect(one.asked).toEqual([])
    const again = await way(idempotency, call, [])
    expect(unwrap(again as never)).toEqual(unwrap(first as never))
    expect(again).toMatchObject({ ok: true, replayed: true })
    const { operationId } = first as { operationId: string }
    for (const { asked } of [one, two]) {
      expect(asked).toMatchObject([
        { hints: [{ tag: 'a' }, { tag: 'b' }], ctx: { operationId, scope: 'm1', op: 'POST /orders' } },
      ])
    }
    expect(none.asked).toEqual([])
  })

  test('is given all the same when a guard fails, and when one never answers for two seconds', async () => {
    const clock = virtualClock()
    const never = guardOf('cache.drop', () => new Promise(() => {}))
    const failing = guardOf('cache.drop', () => Promise.reject(new Error('away')))
    const call = someCall()
    const first = await way(instance({}), call, effects)
    const idempotency = instance({ replayGuards: [never.guard, failing.guard], clock })
    let answered: unknown
    const again = way(idempotency, call, []).then((outcome) => (answered = outcome))
    await vi.waitFor(() => expect(failuresOf(idempotency)).toBe(1), { timeout: 20_000 })
    await clock.advance(1_999)
    expect(answered).toBeUndefined()
    await clock.advance(1)
    expect(unwrap((await again) as never)).toEqual(unwrap(first as never))
    expect(failuresOf(idempotency)).toBe(2)
  })

  test('asks nobody without hints, and stores not a byte more', async () => {
    const { guard, asked } = guardOf('cache.drop')
    const idempotency = instance({ replayGuards: [guard] })
    const [bare, with_] = [someCall(), someCall()]
    await way(idempotency, bare, [hinted('cache.drop')])
    await way(idempotency, bare, [])
    expect(asked).toEqual([])
    await way(idempotency, with_, effects)
    const bytesOf = async (call: typeof bare): Promise<number> => (await idempotency.find(call))!.bytes
    expect(await bytesOf(with_)).toBeGreaterThan(await bytesOf(bare))
  })
})

test('hints count as bytes that are stored', async () => {
  const idempotency = instance({ maxStoredBytes: 200 })
  const call = someCall()
  const outcome = await ways.transaction(idempotency, call, [hinted('cache.drop', 'x'.repeat(200))])
  expect(outcome).toMatchObject({ ok: true, stored: false })
  expect(await ways.transaction(idempotency, call, [])).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
})

test('an answer of the user that begins as ours do comes back byte for byte, also from resolve()', async () => {
  const { guard, asked } = guardOf('cache.drop')
  const idempotency = createIdempotency({ store: memoryStore(), replayGuards: [guard] })
  const packed = Buffer.from('\u0000\u00ffkeelson:hints\u0000\u0000\u0000\u0000\u0002[]answer', 'latin1')
  const codec = { encode: (value: Buffer) => value, decode: (bytes: Uint8Array) => Buffer.from(bytes) }
  const call = { ...someCall(), codec }
  expect(unwrap(await idempotency.run(call, async () => packed))).toEqual(packed)
  expect(unwrap(await idempotency.run(call, async () => Buffer.of()))).toEqual(packed)
  const unknown = { ...someCall(), codec, guarantee: 'at-most-once' } as const
  await expect(idempotency.run(unknown, () => Promise.reject(new Error('lost')))).rejects.toThrow('lost')
  expect(await idempotency.resolve(unknown, { value: packed, codec })).toBe(true)
  expect(unwrap(await idempotency.run(unknown, async () => Buffer.of()))).toEqual(packed)
  expect(asked).toEqual([])
})

test('guards that are none are refused', () => {
  for (const replayGuards of [{}, [{}], [{ kind: 'x' }], [null]]) {
    expect(() => instance({ replayGuards: replayGuards as never })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('replayGuards') }),
    )
  }
})
