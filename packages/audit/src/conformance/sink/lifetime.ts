import type { Case } from '@keelson/kernel/conformance'
import type { SinkUnderTest } from '../sink-under-test.ts'
import { onSink } from '../sink-stage.ts'

export const lifetimeCases: readonly Case<SinkUnderTest>[] = [
  onSink('what it prepares may be prepared again, as each process does', ['setup'], async (stage) => {
    const { subject, open, entries, tell, indexes, equal } = stage
    for (let i = 0; i < 2; i++) {
      const sink = await open(subject.sink())
      await sink.setup!(new AbortController().signal)
      equal((await tell(sink, entries(1, i))).each, ['ok'])
    }
    equal(await indexes(), [0, 1])
  }),

  onSink('a preparation that is not allowed halts; one that finds nobody goes again', ['setup'], async (stage) => {
    const { subject, ship, fail, indexes, equal } = stage
    const shipping = ship(subject.sink())
    await shipping.seal({}, {})
    fail({ kind: 'setup', status: 403 })
    await shipping.run()
    equal([shipping.shipper.status().state, await shipping.dead(), await indexes()], ['halted', [], []])
    fail({ kind: 'setup', status: 503 })
    shipping.shipper.resume()
    await shipping.run()
    equal([await shipping.cursor(), await shipping.dead(), await indexes()], [2, [], [0, 1]])
  }),

  onSink('what is closed can be opened again, and closed twice', [], async (stage) => {
    const { open, entries, tell, indexes, until, equal } = stage
    const sink = await open()
    equal((await tell(sink, entries(2))).each, ['ok', 'ok'])
    const state = sink.state?.() ?? null
    await sink.close?.()
    await sink.close?.()
    await open(sink, state)
    equal((await tell(sink, entries(2, 2))).each, ['ok', 'ok'])
    await until('all is there', async () => (await indexes()).length >= 4)
    equal(await indexes(), [0, 1, 2, 3])
  }),

  onSink('what was written behind the cursor that was kept is not there twice', ['state'], async (stage) => {
    const { subject, open, entries, tell, arrived, equal } = stage
    const first = await open(subject.sink(), null)
    const sent = entries(4)
    await tell(first, sent.slice(0, 2))
    const state = first.state!()
    await tell(first, sent.slice(2))
    // Killed here, before the cursor moved: the next process has the state of then.
    const second = await open(subject.sink(), state)
    equal((await tell(second, sent.slice(2))).each, ['ok', 'ok'])
    equal(
      (await arrived()).map(({ index }) => index),
      [0, 1, 2, 3],
    )
    equal((await tell(second, entries(1, 4))).each, ['ok'])
    equal(typeof second.state!(), 'string')
  }),

  onSink(
    'what was sent shortly before a connection broke goes again: copies, and never a loss',
    ['settles'],
    async (stage) => {
      const { ship, subject, cut, indexes, until, equal } = stage
      const shipping = ship(subject.sink())
      await shipping.seal({}, {}, {})
      await until('they are sent', async () => {
        await shipping.shipper.turn()
        return (await indexes()).length === 3
      })
      equal(await shipping.cursor(), 0, 'to be sent is not to be delivered')
      cut()
      await until('they are sent again', async () => {
        await shipping.shipper.turn()
        return (await indexes()).length >= 6
      })
      equal(await indexes(), [0, 0, 1, 1, 2, 2])
      await shipping.run()
      equal(await shipping.cursor(), 3)
    },
  ),

  onSink(
    'that a connection broke is told once, and nothing goes over a new one before somebody has asked',
    ['settles'],
    async (stage) => {
      const { open, cut, entries, tell, indexes, until, equal, ok } = stage
      const sink = await open()
      ok(sink.settleAfterMs! > 0, 'settleAfterMs says how long a connection must last behind an entry')
      equal(sink.lost!(), false)
      equal((await tell(sink, entries(1))).each, ['ok'])
      await until('it is there', async () => (await indexes()).length === 1)
      cut()
      await until('it knows', async () => (await tell(sink, entries(1, 1))).each[0] === 'retry')
      const before = await indexes()
      equal((await tell(sink, entries(1, 2))).each, ['retry'])
      equal([sink.lost!(), sink.lost!()], [true, false])
      equal((await tell(sink, entries(1, 3))).each, ['ok'])
      await until('it is there', async () => (await indexes()).includes(3))
      equal(await indexes(), [...before, 3])
    },
  ),
]
