import { tracingChannel } from 'node:diagnostics_channel'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DeliveryFailure } from '../../src/sinks/delivery-failure.ts'
import type { Batch, Outcome } from '../../src/index.ts'
import { LOG, openStage } from './stage.ts'

const all = (entries: number): number[] => Array.from({ length: entries }, (_, i) => i)
const ok = ({ entries }: Batch): Outcome[] => entries.map(() => 'ok')

describe('what a sink answers', () => {
  test('everything is shipped once, in batches, and the cursor follows', async () => {
    const stage = openStage(ok)
    await stage.seal(25)
    await stage.run(stage.shipper())
    expect(stage.has).toEqual(all(25))
    expect(stage.batches.map((batch) => batch.length)).toEqual([10, 10, 5])
    expect(await stage.cursor()).toBe(25)
  })

  test('each delivery is told to who traces, with what came of it', async () => {
    const told: object[] = []
    const { asyncEnd } = tracingChannel('keelson:audit:deliver')
    const listener = (message: unknown): void => void told.push(message as object)
    asyncEnd.subscribe(listener)
    onTestFinished(() => {
      asyncEnd.unsubscribe(listener)
    })
    const stage = openStage(ok)
    await stage.seal(13)
    await stage.run(stage.shipper())
    expect(told).toMatchObject([
      { sink: 'test', entries: 10, result: Array.from({ length: 10 }, () => 'ok') },
      { sink: 'test', entries: 3, result: ['ok', 'ok', 'ok'] },
    ])
  })

  test('what is sealed while the shipper reads is shipped too', async () => {
    const stage = openStage(ok)
    await stage.seal(3)
    const { read } = stage.store
    let times = 2
    stage.store.read = async (...args) => {
      if (times-- > 0) await stage.seal(3)
      return read(...args)
    }
    await stage.run(stage.shipper(), 2_000)
    expect(stage.has).toEqual(all(9))
    expect(await stage.cursor()).toBe(9)
  })

  test('a 409 is settled as if it were new', async () => {
    const stage = openStage(({ entries }) => entries.map(() => 'duplicate'))
    await stage.seal(3)
    await stage.run(stage.shipper())
    expect(await stage.cursor()).toBe(3)
  })

  test('an entry that is tried again goes alone, and the cursor stays below it', async () => {
    let refusals = 2
    const stage = openStage(({ entries }) =>
      entries.map(({ index }) => (index === 4 && refusals-- > 0 ? { retry: '429' } : 'ok')),
    )
    await stage.seal(8)
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(await stage.cursor()).toBe(4)
    expect(shipper.status().lastError).toBe('429')
    await stage.run(shipper, 1_000)
    expect(stage.batches).toEqual([all(8), [4], [4]])
    expect(await stage.cursor()).toBe(8)
  })

  test('others overtake it where order does not matter, and not where it does', async () => {
    for (const ordered of [false, true]) {
      let refusals = 1
      const stage = openStage(({ entries }) =>
        entries.map(({ index }) => (index === 1 && refusals-- > 0 ? { retry: 'busy', after: 500 } : 'ok')),
      )
      await stage.seal(4)
      const shipper = stage.shipper({ ordered, maxBatchEntries: 2 })
      await stage.run(shipper, 600)
      expect(stage.has).toEqual(ordered ? [0, 1, 2, 3] : [0, 2, 3, 1])
    }
  })

  test('an entry that is refused is a dead letter after one try, and replayed when somebody wants that', async () => {
    let isMended = false
    const stage = openStage(({ entries }) =>
      entries.map(({ index }) => (index === 2 && !isMended ? { reject: '400 mapping' } : 'ok')),
    )
    await stage.seal(5)
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(await stage.cursor()).toBe(5)
    const dead = await stage.store.deadLetters.list(LOG, { limit: 10 })
    expect(dead).toMatchObject([{ sink: 'test', index: 2, reason: '400 mapping', again: false }])
    expect(shipper.status().dead).toBe(1)

    expect(await stage.store.deadLetters.unbury(LOG, {})).toBe(1)
    await stage.run(shipper, 2_000)
    expect((await stage.store.deadLetters.list(LOG, { limit: 10 })).map(({ again }) => again)).toEqual([false])
    isMended = true
    await stage.store.deadLetters.unbury(LOG, { sink: 'test' })
    await stage.run(shipper, 2_000)
    expect(stage.has.toSorted()).toEqual(all(5))
    expect(await stage.store.deadLetters.list(LOG, { limit: 10 })).toEqual([])
    expect(shipper.status().dead).toBe(0)
  })

  test('a rejection settles nothing; the pause doubles up to a second, and what the sink asks for wins', async () => {
    const failures = [{}, {}, {}, {}, {}, { retryAfter: 7_000 }, { retryAfter: 999_000 }]
    const stage = openStage((batch) => {
      const failure = failures.shift()
      if (failure !== undefined) throw new DeliveryFailure('no answer', failure)
      return ok(batch)
    })
    await stage.seal(2)
    const shipper = stage.shipper()
    const waits: number[] = []
    while ((await stage.cursor()) === 0) {
      const waitMs = await shipper.turn()
      if (failures.length < 7 && waitMs > 0) waits.push(Math.round(waitMs))
      await stage.clock.advance(waitMs)
    }
    expect(waits.slice(0, 6)).toEqual([100, 200, 400, 800, 1_000, 1_000])
    expect(stage.clock.monotonic()).toBeGreaterThan(67_000)
    expect(stage.has).toEqual([0, 1])
  })

  test('fewer answers than entries settle nothing', async () => {
    let short = true
    const stage = openStage(({ entries }) => {
      const outcomes = entries.map(() => 'ok' as const)
      return short ? outcomes.slice(1) : outcomes
    })
    await stage.seal(3)
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(await stage.cursor()).toBe(0)
    short = false
    await stage.run(shipper, 1_000)
    expect(await stage.cursor()).toBe(3)
  })

  test('413 halves the batch until it fits, and one entry alone is a dead letter', async () => {
    const stage = openStage((batch) => {
      if (batch.entries.some(({ index }) => index === 5)) throw new DeliveryFailure('too large', { status: 413 })
      return ok(batch)
    })
    await stage.seal(10)
    await stage.run(stage.shipper(), 1_000)
    expect(stage.has.toSorted()).toEqual(all(10).filter((index) => index !== 5))
    expect(await stage.store.deadLetters.list(LOG, { limit: 10 })).toMatchObject([{ index: 5, reason: 'too large' }])
    expect(await stage.cursor()).toBe(10)
  })

  test('a halt loses nothing, buries nothing, probes every 30 s and goes on at once after resume()', async () => {
    let isHalted = true
    const stage = openStage(({ entries }) => entries.map(() => (isHalted ? { halt: '401' } : 'ok')))
    await stage.seal(4)
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(shipper.status()).toMatchObject({ state: 'halted', lastError: '401', cursor: 0, pending: 4, dead: 0 })
    expect(await shipper.turn()).toBeGreaterThan(29_000)
    expect(stage.batches).toHaveLength(1)
    isHalted = false
    shipper.resume()
    await stage.run(shipper)
    expect(shipper.status()).toMatchObject({ state: 'running', cursor: 4, pending: 0 })
    expect(stage.has).toEqual(all(4))
  })

  test('a sink that never answers is given up after its timeout', async () => {
    const stage = openStage(() => new Promise(() => {}))
    await stage.seal(1)
    const shipper = stage.shipper({ timeoutMs: 3_000 })
    const turn = shipper.turn()
    await stage.clock.advance(3_000)
    await turn
    expect(shipper.status().lastError).toBe('no answer in 3000 ms')
  })
})

test('only what a sink wants is sent to it, and its cursor passes the rest by', async () => {
  const stage = openStage(ok)
  await stage.seal(6)
  await stage.run(stage.shipper({ only: { scopes: ['even'], actions: ['test.*'] } }))
  expect(stage.has).toEqual([0, 2, 4])
  expect(await stage.cursor()).toBe(6)
})

test('a batch that is not full waits for more, as long as its oldest entry may', async () => {
  const stage = openStage(ok)
  const shipper = stage.shipper({ flushMs: 900 })
  await stage.seal(3)
  expect(await shipper.turn()).toBe(900)
  await stage.clock.advance(500)
  await stage.seal(3)
  expect(await shipper.turn()).toBe(400)
  await stage.clock.advance(400)
  await stage.run(shipper)
  expect(stage.batches).toEqual([all(6)])
  await stage.seal(1)
  shipper.hurry(7)
  await stage.run(shipper)
  expect(stage.batches).toHaveLength(2)
})

test('one node ships; another takes over when its lease is over, and the first is fenced off', async () => {
  const stage = openStage(ok)
  await stage.seal(3)
  const [first, second] = [stage.shipper(), stage.shipper()]
  await stage.run(first)
  await stage.seal(3)
  await stage.run(second)
  expect(stage.has).toEqual(all(3))
  await stage.clock.advance(30_000)
  await stage.run(second)
  expect(stage.has).toEqual(all(6))
  await stage.seal(1)
  await stage.run(first)
  expect(stage.has).toEqual(all(6))
  await second.end()
  await stage.run(first)
  expect(stage.has).toEqual(all(7))
})

test('a node that ends before its sink is open gives the lease back too', async () => {
  const stage = openStage(ok)
  await stage.seal(3)
  const opening = Promise.withResolvers<void>()
  const first = stage.shipper({
    async open() {
      opening.resolve()
      await new Promise(() => {})
    },
  })
  const turn = first.turn()
  await opening.promise
  await first.end()
  await turn
  const second = stage.shipper()
  await stage.run(second)
  expect(stage.has).toEqual(all(3))
})

describe('a sink that proves nothing', () => {
  test('its cursor trails by settleAfterMs', async () => {
    const stage = openStage(ok)
    await stage.seal(2)
    const shipper = stage.shipper({ settleAfterMs: 5_000, lost: () => false })
    await stage.run(shipper)
    expect([stage.has, await stage.cursor()]).toEqual([[0, 1], 0])
    await stage.run(shipper, 6_000)
    expect([stage.has, await stage.cursor()]).toEqual([[0, 1], 2])
  })

  test('what was sent since goes again over the next connection', async () => {
    let isLost = false
    const stage = openStage(ok)
    await stage.seal(2)
    const lost = (): boolean => {
      const was = isLost
      isLost = false
      return was
    }
    const shipper = stage.shipper({ settleAfterMs: 5_000, lost })
    await stage.run(shipper, 6_000)
    await stage.seal(2)
    await stage.run(shipper)
    isLost = true
    await stage.run(shipper, 10_000)
    expect(stage.has).toEqual([0, 1, 2, 3, 2, 3])
    expect(await stage.cursor()).toBe(4)
  })
})

test('whatever a sink answers: it has all that is sealed but its dead letters, and the cursor never passes what it lacks', async () => {
  const answer = fc.oneof(
    { weight: 4, arbitrary: fc.constant('ok' as const) },
    fc.constantFrom('duplicate' as const, 'retry' as const, 'reject' as const, 'halt' as const),
  )
  const fault = fc.constantFrom('none', 'none', 'lost answer', 'throw', '413', 'short', 'crash')
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.tuple(fault, fc.array(answer, { minLength: 10, maxLength: 10 })), { maxLength: 12 }),
      fc.boolean(),
      async (entries, faults, ordered) => {
        const script = [...faults]
        const has = new Set<number>()
        let isCrashed = false
        const stage = openStage(({ entries: sent }) => {
          const [kind, answers] = script.shift() ?? ['none', undefined]
          if (kind === 'throw') throw new DeliveryFailure('reset')
          if (kind === '413') throw new DeliveryFailure('too large', { status: 413 })
          const outcomes = sent.map(({ index }, i): Outcome => {
            const given = answers?.[i] ?? 'ok'
            if (given === 'ok' || given === 'duplicate') has.add(index)
            if (given === 'retry') return { retry: 'busy' }
            if (given === 'reject') return { reject: 'bad' }
            return given === 'halt' ? { halt: 'denied' } : given
          })
          if (kind === 'crash') isCrashed = true
          if (kind === 'lost answer' || kind === 'crash') throw new DeliveryFailure('reset')
          return kind === 'short' ? outcomes.slice(1) : outcomes
        })
        await stage.seal(entries)
        let shipper = stage.shipper({ ordered })
        for (let turns = 0; turns < 500 && (await stage.cursor()) < entries; turns++) {
          const waitMs = await shipper.turn()
          const dead = new Set((await stage.store.deadLetters.list(LOG, { limit: 100 })).map(({ index }) => index))
          const cursor = await stage.cursor()
          expect(all(cursor).filter((index) => !has.has(index) && !dead.has(index))).toEqual([])
          if (isCrashed) {
            isCrashed = false
            shipper = stage.shipper({ ordered })
          }
          await stage.clock.advance(Math.max(1, waitMs))
        }
        expect(await stage.cursor()).toBe(entries)
      },
    ),
    { numRuns: process.env['LONG'] === undefined ? 200 : 20_000 },
  )
})
