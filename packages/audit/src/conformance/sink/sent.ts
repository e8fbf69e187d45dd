import type { Case } from '@keelson/kernel/conformance'
import { uuidv7 } from '@keelson/kernel'
import { leafHash } from '../../tree/hashing.ts'
import type { SinkUnderTest } from '../sink-under-test.ts'
import { onSink } from '../sink-stage.ts'

/** Texts that are written otherwise by whoever reads and writes them again, or that end something somewhere. */
const NASTY = [
  'é ü 漢 🦔',
  '\u2028\u2029\u007f',
  '\r\n\t\0\u001b',
  '"]}\\',
  ',"seal":{"log":"x","index":1,"leaf":"AAAA"}}',
  '</script>%00<13>1 - [',
]

export const sentCases: readonly Case<SinkUnderTest>[] = [
  onSink('it has a name for its cursor, and bounds of a batch', [], async ({ subject, ok }) => {
    const { name, ordered, maxBatchBytes, maxBatchEntries, flushMs, timeoutMs } = subject.sink()
    ok(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name), `"${name}" is no name`)
    ok(typeof ordered === 'boolean', 'ordered is true or false')
    ok(Number.isSafeInteger(maxBatchBytes) && maxBatchBytes >= 1_024, 'maxBatchBytes is at least 1,024')
    ok(Number.isSafeInteger(maxBatchEntries) && maxBatchEntries >= 1, 'maxBatchEntries is at least 1')
    ok(Number.isFinite(flushMs) && flushMs >= 0, 'flushMs is a time')
    ok(Number.isFinite(timeoutMs) && timeoutMs > 0, 'timeoutMs is a time')
  }),

  onSink('it takes a name, bounds, and what it is for', ['options'], async ({ subject, equal }) => {
    const only = { scopes: ['a', 'b'], actions: ['user.*'] }
    const bounds = { maxBatchBytes: 2_048, maxBatchEntries: 7 }
    const sink = subject.sink({ name: 'my.sink-2', only, ...bounds, flush: '2s', timeout: '3s' })
    const { name, maxBatchBytes, maxBatchEntries, flushMs, timeoutMs } = sink
    equal([name, sink.only, flushMs, timeoutMs], ['my.sink-2', only, 2_000, 3_000])
    equal([maxBatchBytes, maxBatchEntries], [2_048, 7])
  }),

  onSink('one answer for each entry, when all are there', [], async ({ open, entries, tell, indexes, equal }) => {
    const sink = await open()
    equal((await tell(sink, entries(5))).each, Array(5).fill('ok'))
    equal((await tell(sink, entries(1, 5))).each, ['ok'])
    equal(await indexes(), [0, 1, 2, 3, 4, 5])
  }),

  onSink('what arrives is what was stored, byte by byte, and its hash is the leaf', [], async (stage) => {
    const { open, entries, tell, arrived, equal } = stage
    const sink = await open()
    const sent = NASTY.flatMap((text, i) => entries(1, i, { scope: 'a "scope]\\', data: { text, [`k${i}`]: [text] } }))
    const before = sent.map(({ bytes }) => Buffer.from(bytes).toString('latin1'))
    equal((await tell(sink, sent)).each, Array(sent.length).fill('ok'))
    const came = (await arrived()).toSorted((a, b) => a.index - b.index)
    equal(
      came.map(({ bytes }) => bytes.toString('latin1')),
      before,
    )
    equal(
      came.map(({ bytes }) => leafHash(bytes).toString('base64')),
      came.map(({ leaf }) => leaf),
    )
    equal(
      sent.map(({ bytes }) => Buffer.from(bytes).toString('latin1')),
      before,
      'the bytes are not the sink’s to change',
    )
  }),

  onSink('a document that nobody here would write so is shipped as it is', [], async (stage) => {
    const { open, entryOf, tell, arrived, equal } = stage
    const sink = await open()
    // Members out of order, numbers that a double does not hold, escapes that are not needed, white space.
    const document = `{ "event":{"id":"${uuidv7()}"},"audit":{"data":{"b":1.0,"a":"\\u0041\\/","n":12345678901234567890,"10":1,"9":2}} }`
    equal((await tell(sink, [entryOf(document, 0)])).each, ['ok'])
    equal(
      (await arrived()).map(({ bytes }) => bytes.toString()),
      [document],
    )
  }),

  onSink('each comes with its place: log, index and leaf, with holes between', [], async (stage) => {
    const { log, open, entries, tell, arrived, equal } = stage
    const sink = await open()
    const sent = [3, 7, 8, 1_000_000_007].flatMap((index) => entries(1, index))
    await tell(sink, sent)
    const came = (await arrived()).toSorted((a, b) => a.index - b.index)
    equal(
      came.map((one) => [one.log, one.index, one.leaf, one.id]),
      sent.map(({ index, leaf, id }) => [log, index, Buffer.from(leaf).toString('base64'), id]),
    )
  }),

  onSink('a sink that keeps the order keeps it within a batch and between two', [], async (stage) => {
    const { open, entries, tell, arrived, equal } = stage
    const sink = await open()
    await tell(sink, entries(20))
    await tell(sink, entries(20, 20))
    const indexes = (await arrived()).map(({ index }) => index)
    equal(
      sink.ordered ? indexes : indexes.toSorted((a, b) => a - b),
      Array.from({ length: 40 }, (_, i) => i),
    )
  }),

  onSink('an entry of 65,535 bytes arrives whole', [], async ({ open, entries, tell, arrived, equal }) => {
    const sink = await open()
    const [small] = entries(1, 0, { data: { text: '' } })
    const text = 'é'.repeat((65_535 - small!.bytes.length) >> 1)
    const [large] = entries(1, 0, { data: { text } })
    equal((await tell(sink, [large!])).each, ['ok'])
    const [came] = await arrived()
    equal(came!.bytes.length, large!.bytes.length)
    equal(Buffer.compare(came!.bytes, large!.bytes), 0)
  }),

  onSink('a batch as big as it wants one arrives whole', [], async ({ open, entries, tell, indexes, equal }) => {
    const sink = await open()
    const [one] = entries(1)
    const fit = Math.min(sink.maxBatchEntries, Math.floor(sink.maxBatchBytes / one!.bytes.length))
    const sent = entries(fit)
    equal((await tell(sink, sent)).each, Array(fit).fill('ok'))
    equal(await indexes(), Array.from(sent.keys()))
  }),
]
