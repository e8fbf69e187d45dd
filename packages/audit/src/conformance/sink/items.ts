import type { Case } from '@keelson/kernel/conformance'
import type { SinkUnderTest } from '../sink-under-test.ts'
import { onSink } from '../sink-stage.ts'

export const itemCases: readonly Case<SinkUnderTest>[] = [
  onSink('a busy item goes again, and it alone', ['items'], async ({ open, entries, fail, tell, indexes, equal }) => {
    const sink = await open()
    fail({ kind: 'items', items: { 1: 429, 3: 503, 4: 500 } })
    equal((await tell(sink, entries(6))).each, ['ok', 'retry', 'ok', 'retry', 'retry', 'ok'])
    equal(await indexes(), [0, 2, 5])
  }),

  onSink('an item that is called wrong is a dead letter, and it alone', ['items'], async (stage) => {
    const { open, entries, fail, tell, indexes, equal, ok } = stage
    const sink = await open()
    fail({ kind: 'items', items: { 1: 400 } })
    const { each, reasons } = await tell(sink, entries(3))
    equal(each, ['ok', 'reject', 'ok'])
    ok(reasons.includes('400'), `the reason has the status: ${reasons}`)
    equal(await indexes(), [0, 2])
  }),

  onSink('an index that is blocked halts, and buries nothing', ['items'], async (stage) => {
    const { open, entries, fail, tell, equal } = stage
    const sink = await open()
    fail({ kind: 'items', items: { 0: 403, 1: 403, 2: 403 } })
    equal((await tell(sink, entries(3))).each, Array(3).fill('halt'))
    fail({ kind: 'items', items: { 2: 403 } })
    equal((await tell(sink, entries(3, 3))).each, ['ok', 'ok', 'halt'])
  }),

  onSink('what is there already is done, and is there once', ['items', 'once'], async (stage) => {
    const { open, entries, tell, indexes, equal } = stage
    const sink = await open()
    const sent = entries(4)
    await tell(sink, sent.slice(1, 3))
    equal((await tell(sink, sent)).each, ['ok', 'duplicate', 'duplicate', 'ok'])
    equal(await indexes(), [0, 1, 2, 3])
  }),

  onSink('fewer answers than entries tell nothing of any', ['items'], async (stage) => {
    const { open, entries, fail, tell, equal } = stage
    const sink = await open()
    fail({ kind: 'short' })
    equal((await tell(sink, entries(3))).each, Array(3).fill('retry'))
  }),

  onSink('an entry that is named is a dead letter, and the others go again', ['names'], async (stage) => {
    const { open, entries, fail, tell, indexes, equal } = stage
    const sink = await open()
    fail({ kind: 'invalid', place: 2 })
    equal((await tell(sink, entries(4))).each, ['retry', 'retry', 'reject', 'retry'])
    equal(await indexes(), [])
  }),

  onSink(
    'where some were refused and nobody says which, all are dead letters, with the count',
    ['counts'],
    async (s) => {
      const { open, entries, fail, tell, equal, ok } = s
      const sink = await open()
      fail({ kind: 'partial', rejected: 2 })
      const { each, reasons } = await tell(sink, entries(5))
      equal(each, Array(5).fill('reject'))
      ok(reasons.includes('2 of 5'), `the reason has the count: ${reasons}`)
    },
  ),
]
