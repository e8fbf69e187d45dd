import type { Case } from '@keelson/kernel/conformance'
import type { SinkFault, SinkUnderTest } from '../sink-under-test.ts'
import { onSink, type SinkStage } from '../sink-stage.ts'

/** What a subject's receiver can do wrong without that an entry is refused for good. */
function passing({ has, random }: SinkStage): SinkFault[] {
  const status = [429, 500, 503][Math.floor(random() * 3)]!
  const item = [429, 503][Math.floor(random() * 2)]!
  const of: Record<string, readonly SinkFault[]> = {
    network: [{ kind: 'reset' }],
    status: [{ kind: 'lost' }, { kind: 'status', status }],
    body: [{ kind: 'html' }],
    items: [{ kind: 'short' }, { kind: 'items', items: { [Math.floor(random() * 3)]: item } }],
  }
  return Object.entries(of).flatMap(([ability, faults]) => (has.includes(ability) ? faults : []))
}

const distinct = (numbers: readonly number[]): number[] => [...new Set(numbers)]

export const shippedCases: readonly Case<SinkUnderTest>[] = [
  onSink('all that is sealed arrives, batch by batch', [], async ({ ship, subject, indexes, equal }) => {
    const shipping = ship({ ...subject.sink(), maxBatchEntries: 7 })
    await shipping.seal(...Array.from({ length: 30 }, () => ({})))
    await shipping.run()
    equal(await shipping.cursor(), 30)
    equal(
      distinct(await indexes()),
      Array.from({ length: 30 }, (_, i) => i),
    )
    equal(await shipping.dead(), [])
  }),

  onSink('it gets what it is for and nothing else, and the cursor passes the others by', [], async (stage) => {
    const { ship, subject, arrived, equal } = stage
    const only = { scopes: ['a', 'b'], actions: ['user.*', 'order.create'] }
    const shipping = ship({ ...subject.sink(), only, maxBatchEntries: 3 })
    const places = ['a', 'b', 'c'].flatMap((scope) =>
      ['user.update', 'users.update', 'order.create', 'order.create.late'].map((action) => ({ scope, action })),
    )
    await shipping.seal(...places)
    await shipping.run()
    const wanted = [0, 2, 4, 6]
    equal(distinct((await arrived()).map(({ index }) => index).toSorted((a, b) => a - b)), wanted)
    equal(await shipping.cursor(), places.length)
  }),

  onSink(
    'whatever goes wrong meanwhile, all of it arrives, in order of the first time if it is ordered',
    ['network'],
    async (stage) => {
      const { has, random, ship, subject, fail, arrived, indexes, equal } = stage
      const sink = subject.sink()
      const shipping = ship({ ...sink, maxBatchEntries: 4 })
      const all = Array.from({ length: 24 }, (_, i) => i)
      for (let from = 0; from < all.length; from += 6) {
        await shipping.seal(...Array.from({ length: 6 }, () => ({})))
        const faults = passing(stage)
        fail(...Array.from({ length: 3 }, () => faults[Math.floor(random() * faults.length)]!))
        await shipping.run()
      }
      equal(distinct(await indexes()), all)
      if (has.includes('once')) equal(await indexes(), all, 'each is there once')
      if (sink.ordered) equal(distinct((await arrived()).map(({ index }) => index)), all, 'none was overtaken')
      equal(await shipping.dead(), [], 'nothing was refused for good')
    },
  ),

  onSink(
    'an entry that is too big alone is a dead letter, and what it was sent with arrives',
    ['status'],
    async (stage) => {
      const { ship, subject, fail, indexes, equal } = stage
      const shipping = ship({ ...subject.sink(), maxBatchEntries: 4 })
      await shipping.seal(...Array.from({ length: 8 }, () => ({})))
      const tooBig = { kind: 'status', status: 413 } as const
      fail(tooBig, tooBig, tooBig)
      await shipping.run()
      equal(
        (await shipping.dead()).map(({ index }) => index),
        [0],
      )
      equal(distinct(await indexes()), [1, 2, 3, 4, 5, 6, 7])
    },
  ),

  onSink(
    'while it is halted nothing is lost, and it goes on when somebody has mended it',
    ['status'],
    async (stage) => {
      const { ship, subject, fail, indexes, equal } = stage
      const shipping = ship(subject.sink())
      await shipping.seal({}, {}, {})
      fail({ kind: 'status', status: 401 })
      await shipping.run()
      equal([shipping.shipper.status().state, await shipping.cursor(), await indexes()], ['halted', 0, []])
      shipping.shipper.resume()
      await shipping.run()
      equal([shipping.shipper.status().state, await shipping.cursor()], ['running', 3])
      equal(await indexes(), [0, 1, 2])
      equal(await shipping.dead(), [])
    },
  ),

  onSink('a dead letter is delivered when it is asked for again', ['items'], async (stage) => {
    const { ship, subject, fail, indexes, equal } = stage
    const shipping = ship(subject.sink())
    await shipping.seal({}, {}, {})
    fail({ kind: 'items', items: { 1: 400 } })
    await shipping.run()
    equal(await indexes(), [0, 2])
    await shipping.again()
    equal(await indexes(), [0, 1, 2])
    equal(await shipping.dead(), [])
  }),

  onSink(
    'killed between the answer and the cursor, another node goes on: copies at most, and never a hole',
    [],
    async (stage) => {
      const { has, ship, subject, indexes, until, equal } = stage
      const shipping = ship(subject.sink())
      await shipping.seal({}, {}, {})
      await shipping.run()
      await shipping.seal({}, {})
      await shipping.takeOver(subject.sink())
      await shipping.run()
      await until('all is there', async () => distinct(await indexes()).length === 5)
      equal(distinct(await indexes()), [0, 1, 2, 3, 4])
      if (has.includes('once')) equal(await indexes(), [0, 1, 2, 3, 4])
    },
  ),
]
