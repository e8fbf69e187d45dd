import type { Case } from '@keelson/kernel/conformance'
import type { SinkUnderTest } from '../sink-under-test.ts'
import { onSink } from '../sink-stage.ts'

const BUSY = [408, 429, 500, 502, 503, 504]
const CLOSED = [401, 403, 404]
const AGAIN = { retry: true, halve: true } as Record<string, boolean | undefined>

export const answerCases: readonly Case<SinkUnderTest>[] = [
  ...BUSY.map((status) =>
    onSink(`a request that is answered ${status} counts for nothing, and goes again`, ['status'], async (stage) => {
      const { open, entries, fail, tell, indexes, equal } = stage
      const sink = await open()
      const sent = entries(3)
      fail({ kind: 'status', status })
      equal((await tell(sink, sent)).each, Array(3).fill('retry'))
      equal(await indexes(), [])
      equal((await tell(sink, sent)).each, Array(3).fill('ok'))
      equal(await indexes(), [0, 1, 2])
    }),
  ),

  onSink('what Retry-After asks for is told in ms, and nothing is guessed', ['status'], async (stage) => {
    const { open, entries, fail, tell, equal, ok } = stage
    const sink = await open()
    fail(
      { kind: 'status', status: 429, retryAfter: '7' },
      { kind: 'status', status: 503, retryAfter: new Date(Date.now() + 30_000).toUTCString() },
      { kind: 'status', status: 503, retryAfter: 'soon' },
      { kind: 'status', status: 503 },
    )
    const after: (number | undefined)[] = []
    for (let i = 0; i < 4; i++) after.push((await tell(sink, entries(1))).after)
    equal([after[0], after[2], after[3]], [7_000, undefined, undefined])
    ok(after[1]! > 0 && after[1]! <= 30_000, 'a date is the time until then')
  }),

  onSink('413, or 400 for all, is for smaller batches: no innocent entry is buried', ['status'], async (stage) => {
    const { open, entries, fail, tell, indexes, equal } = stage
    const sink = await open()
    for (const status of [413, 400]) {
      fail({ kind: 'status', status })
      equal((await tell(sink, entries(4))).each, Array(4).fill('halve'), `at ${status}`)
    }
    equal(await indexes(), [])
  }),

  ...CLOSED.map((status) =>
    onSink(`${status} halts: all is kept for when somebody has mended it`, ['status'], async (stage) => {
      const { open, entries, fail, tell, indexes, equal } = stage
      const sink = await open()
      const sent = entries(3)
      fail({ kind: 'status', status })
      equal((await tell(sink, sent)).each, Array(3).fill('halt'))
      equal(await indexes(), [])
      equal((await tell(sink, sent)).each, Array(3).fill('ok'))
    }),
  ),

  onSink('a redirect is not followed: nobody else gets the entries', ['status'], async (stage) => {
    const { open, entries, fail, tell, indexes, equal } = stage
    const sink = await open()
    for (const status of [302, 307, 308]) {
      fail({ kind: 'status', status })
      const { each } = await tell(sink, entries(2))
      equal(
        each.includes('ok') || each.includes('duplicate') || each.includes('reject'),
        false,
        `${status}: ${each.join()}`,
      )
    }
    equal(await indexes(), [])
  }),

  onSink('an answer that is lost counts for nothing', ['status'], async (stage) => {
    const { has, open, entries, fail, tell, indexes, equal } = stage
    const sink = await open()
    const sent = entries(3)
    fail({ kind: 'lost' })
    equal((await tell(sink, sent)).each, Array(3).fill('retry'))
    const again = await tell(sink, sent)
    equal(again.each.filter((one) => one !== 'duplicate' && one !== 'ok').join(''), '')
    equal(await indexes(), has.includes('once') ? [0, 1, 2] : [0, 0, 1, 1, 2, 2])
  }),

  onSink('200 proves nothing when what it says is no answer', ['body'], async (stage) => {
    const { open, entries, fail, tell, indexes, equal } = stage
    const sink = await open()
    fail({ kind: 'html' })
    equal((await tell(sink, entries(3))).each, Array(3).fill('retry'))
    equal(await indexes(), [])
  }),

  onSink('a connection that breaks counts for nothing, and the next one works', ['network'], async (stage) => {
    const { open, entries, fail, tell, indexes, until, equal } = stage
    const sink = await open()
    fail({ kind: 'reset' })
    const { each } = await tell(sink, entries(3))
    equal(
      each.every((one) => one === 'retry'),
      true,
      each.join(),
    )
    sink.lost?.()
    equal((await tell(sink, entries(3))).each, Array(3).fill('ok'))
    await until('it is there', async () => (await indexes()).length >= 3)
    equal(await indexes(), [0, 1, 2])
  }),

  onSink(
    'a receiver that never answers is let go at the signal, and the next try works',
    ['network'],
    async (stage) => {
      const { open, entries, fail, tell, indexes, until, equal } = stage
      const sink = await open()
      fail({ kind: 'hang' })
      const stop = new AbortController()
      const telling = tell(sink, entries(2), stop.signal)
      setTimeout(() => stop.abort(new Error('its time is over')), 50)
      equal((await telling).each, ['retry', 'retry'])
      sink.lost?.()
      equal((await tell(sink, entries(2))).each, ['ok', 'ok'])
      await until('it is there', async () => (await indexes()).length >= 2)
      equal(await indexes(), [0, 1])
    },
  ),

  onSink('no reason tells what must be kept secret', ['status'], async ({ subject, open, entries, fail, tell, ok }) => {
    const sink = await open()
    for (const status of [401, 400, 500]) {
      fail({ kind: 'status', status })
      const { reasons, each } = await tell(sink, entries(1))
      ok(reasons !== '', `${status} has a reason`)
      ok(AGAIN[each[0]!] ?? each[0] === 'halt', `${status} is no yes`)
      for (const secret of subject.secrets ?? []) ok(!reasons.includes(secret), `a reason has "${secret}"`)
    }
  }),
]
