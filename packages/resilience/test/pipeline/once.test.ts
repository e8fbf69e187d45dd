import { describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createPipeline } from '../../src/index.ts'
import { pipelineWith } from '../../src/pipeline/pipeline.ts'

const error = new Error('upstream')

describe('a call with idempotent: false', () => {
  test('is begun once, after an error and after a timeout, and a layer around it may retry', async () => {
    const clock = virtualClock()
    const options = { name: 'up', clock, attempt: 10, retry: { base: 0 } }
    const inner = createPipeline(options)
    const once = (work: () => Promise<never>) => inner.try(work, { idempotent: false })
    expect(await once(() => Promise.reject(error))).toMatchObject({ kind: 'failed', attempts: 1 })
    const late = once(() => new Promise(() => {}))
    await clock.advance(10)
    expect(await late).toMatchObject({ kind: 'timeout', attempts: 1 })
    const outer = createPipeline({ name: 'outer', clock, retry: { base: 0 } })
    const both = outer.try(() => inner.run(() => Promise.reject(error), { idempotent: false }))
    await clock.advance(0)
    expect(await both).toMatchObject({ attempts: 3 })
  })
})

describe('a value that nobody is given', () => {
  const bad = (n: number): { n: number; bad: true } => ({ n, bad: true })
  const classify = { value: (value: { bad?: true }) => (value.bad ? 'retry' : 'ok') } as const
  function on(more: object) {
    const clock = virtualClock()
    const discarded: unknown[] = []
    const pipeline = pipelineWith<any>(
      { name: 'up', clock, random: () => 1, retry: { base: 10 }, classify, ...more },
      { discard: (value) => void discarded.push(value) },
    )
    return { clock, discarded, pipeline }
  }

  test('is discarded once: of an attempt that is made again, and of one that is aborted between two', async () => {
    const { clock, discarded, pipeline } = on({})
    const last = pipeline.run(({ attempt }) => bad(attempt))
    await clock.advance(100)
    expect([await last, discarded]).toEqual([bad(3), [bad(1), bad(2)]])
    const leaving = new AbortController()
    const left = pipeline.try(() => bad(4), { signal: leaving.signal })
    await clock.advance(5)
    leaving.abort()
    expect([await left, discarded.slice(2)]).toMatchObject([{ kind: 'aborted' }, [bad(4)]])
    const late = pipeline.try(() => bad(5), { deadline: 20 })
    await clock.advance(30)
    expect((await late).ok).toBe(true)
    expect(discarded).toHaveLength(4)
  })

  test('and of a hedge that was worse', async () => {
    const { clock, discarded, pipeline } = on({ hedge: { after: 5 } })
    const answer = pipeline.run(
      async ({ attempt }) => {
        await clock.sleep(attempt === 1 ? 20 : 5)
        return attempt === 1 ? { n: 1 } : bad(2)
      },
      { idempotent: true },
    )
    await clock.advance(30)
    expect([await answer, discarded]).toEqual([{ n: 1 }, [bad(2)]])
  })

  test('its place is free while the next attempt is waited for', async () => {
    const clock = virtualClock()
    const kept: (() => void)[] = []
    const pipeline = pipelineWith<any>(
      { name: 'up', clock, random: () => 1, retry: { base: 10 }, limit: 1, classify },
      { keeps: (_, release) => kept.push(release) > 0 },
    )
    const answer = pipeline.try(({ attempt }) => (attempt < 3 ? bad(attempt) : { n: attempt }))
    await clock.advance(100)
    expect(await answer).toMatchObject({ value: { n: 3 }, attempts: 3 })
    expect(kept).toHaveLength(1)
    expect(await pipeline.try(() => ({ n: 4 }))).toMatchObject({ kind: 'shed' })
    kept[0]!()
    expect(await pipeline.try(() => ({ n: 4 }))).toMatchObject({ ok: true })
  })

  test('a hedge that answers holds its place on, also when the slower attempt has ended', async () => {
    const clock = virtualClock()
    const kept: (() => void)[] = []
    const pipeline = pipelineWith<any>(
      { name: 'up', clock, retry: true, hedge: { after: 5 }, limit: 1 },
      { keeps: (_, release) => kept.push(release) > 0 },
    )
    const slow = Promise.withResolvers<number>()
    const answer = pipeline.run(({ attempt }) => (attempt === 1 ? slow.promise : attempt), { idempotent: true })
    await clock.advance(5)
    expect(await answer).toBe(2)
    slow.resolve(1)
    await clock.advance(0)
    expect(kept).toHaveLength(1)
    expect(await pipeline.try(() => 3)).toMatchObject({ kind: 'shed' })
    kept[0]!()
    expect(await pipeline.try(() => 3)).toMatchObject({ ok: true })
  })
})
