import type { Subject } from '@keelson/kernel/conformance'
import { withoutSeal, withSeal } from '../entry/seal-member.ts'
import type { Outcome, Sink } from '../sink.ts'
import type { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { leafHash } from '../tree/hashing.ts'
import type { SinkUnderTest } from './sink-under-test.ts'
import { SOUND, type Answer, type Tampering } from './sound-sinks.ts'

/** What is said of each entry is other than it should be. */
function tells(wrong: (outcome: Outcome) => Outcome): Tampering {
  return { sink: ({ deliver }) => ({ deliver: async (...given) => (await deliver(...given)).map(wrong) }) }
}

/** Its rejections are other than they should be. */
function fails(wrong: (error: Partial<DeliveryFailure>) => object): Tampering {
  return {
    sink: ({ deliver }) => ({
      deliver: async (...given) =>
        deliver(...given).catch((error: DeliveryFailure) => {
          throw Object.assign(new Error(error.message), error, wrong(error))
        }),
    }),
  }
}

const reads = (answer: (answer: Answer, entries: number) => Answer): Tampering => ({ answer })
const yes = (entries: number): Answer => ({ status: 200, body: { items: Array(entries).fill(201) as number[] } })
/** Documents are written wrongly. */
const sends = (wrong: (document: Uint8Array, i: number) => Uint8Array): Tampering => ({
  sent: (documents) => documents.map(wrong),
})
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
type Seal = { readonly log: string; readonly index: number; readonly leaf: string }
const sealOf = (document: Uint8Array): Seal => (JSON.parse(text(document)) as { seal: Seal }).seal

/** Sealed anew with other words. */
function sealed(wrong: (seal: Seal, bytes: Uint8Array, i: number) => Partial<Seal>): Tampering {
  return sends((document, i) => {
    const bytes = withoutSeal(document)
    const seal = sealOf(document)
    const { log, index, leaf } = { ...seal, ...wrong(seal, bytes, i) }
    return withSeal(bytes, { log, index, leaf: Buffer.from(leaf, 'base64') })
  })
}

/** Outcomes of a batch, changed together. */
function tellsAll(wrong: (outcomes: readonly Outcome[]) => readonly Outcome[]): Tampering {
  return { sink: ({ deliver }) => ({ deliver: async (...given) => wrong(await deliver(...given)) }) }
}

const is = (outcome: Outcome, kind: string): boolean => typeof outcome === 'object' && kind in outcome

/** One fault each; the name says what is wrong. */
const answered: Record<string, Tampering> = {
  // Reading answers.
  'a status of 200 is a yes for all': reads((answer, entries) => (answer.status === 200 ? yes(entries) : answer)),
  'an answer that is no JSON is a yes': reads((answer, entries) => (answer.body === undefined ? yes(entries) : answer)),
  'what is there already is a failure': tells((one) => (one === 'duplicate' ? { retry: '409' } : one)),
  'what is there already is a dead letter': tells((one) => (one === 'duplicate' ? { reject: '409' } : one)),
  'one busy item sends all again': tellsAll((all) =>
    all.some((one) => is(one, 'retry')) ? all.map(() => ({ retry: 'all' })) : all,
  ),
  'one wrong item buries all': tellsAll((all) =>
    all.some((one) => is(one, 'reject')) ? all.map(() => ({ reject: '400 all' })) : all,
  ),
  'a busy item is a dead letter': tells((one) => (is(one, 'retry') ? { reject: 'busy' } : one)),
  'a wrong item is tried for ever': tells((one) => (is(one, 'reject') ? { retry: 'wrong' } : one)),
  'a reason tells nothing of the status': tells((one) => (is(one, 'reject') ? { reject: 'no' } : one)),
  'an index that is blocked buries': tells((one) => (is(one, 'halt') ? { reject: 'blocked' } : one)),
  'an index that is blocked is tried for ever': tells((one) => (is(one, 'halt') ? { retry: 'blocked' } : one)),
  'what the answer leaves out is done': reads((answer, entries) => {
    const { items } = answer.body ?? {}
    if (items === undefined || items.length === entries) return answer
    return { ...answer, body: { items: [...items, ...Array(entries - items.length).fill(201)] as number[] } }
  }),
  'a partial success is a yes': reads((answer, entries) =>
    answer.body?.rejected === undefined ? answer : yes(entries),
  ),
  'a partial success goes again': reads((answer) => (answer.body?.rejected === undefined ? answer : { status: 503 })),
  'the one that is named takes the others along': reads((answer) =>
    answer.body?.invalid === undefined ? answer : { status: 200, body: { rejected: 4 } },
  ),
  'a wrong password buries': {
    sink: ({ deliver }) => ({
      deliver: async (batch, signal) =>
        deliver(batch, signal).catch((error: { halt?: boolean }) => {
          if (error.halt !== true) throw error
          return batch.entries.map(() => ({ reject: 'not allowed' }))
        }),
    }),
  },
  'a wrong password is tried on and on': fails(() => ({ halt: false })),
  'a server in trouble halts': fails(({ status, halt }) => ({ halt: halt === true || status === undefined })),
  'what is too big is tried as it is': fails(() => ({ status: 503 })),
  'what is too big buries the batch': {
    sink: ({ deliver }) => ({
      deliver: async (batch, signal) =>
        deliver(batch, signal).catch((error: { status?: number }) => {
          if (error.status !== 413) throw error
          return batch.entries.map(() => ({ reject: 'too big' }))
        }),
    }),
  },
  'a server in trouble buries': {
    sink: ({ deliver }) => ({
      deliver: async (batch, signal) =>
        deliver(batch, signal).catch((error: { status?: number; halt?: boolean }) => {
          if (error.status === 413 || error.halt === true) throw error
          return batch.entries.map(() => ({ reject: 'it failed' }))
        }),
    }),
  },
  'a lost answer counts': {
    sink: ({ deliver }) => ({
      deliver: async (batch, signal) =>
        deliver(batch, signal).catch((error: Error) => {
          if (!error.message.includes('reset')) throw error
          return batch.entries.map(() => 'ok')
        }),
    }),
  },
  'Retry-After is passed by': fails(() => ({ retryAfter: undefined })),
  'Retry-After is taken for ms': fails(({ retryAfter }) => ({
    retryAfter: retryAfter === undefined ? undefined : retryAfter / 1_000,
  })),
  'a redirect is a yes': reads((answer, entries) =>
    answer.status >= 300 && answer.status < 400 ? yes(entries) : answer,
  ),
  'the signal is not heard': {
    sink: ({ deliver }) => ({ deliver: async (batch) => deliver(batch, new AbortController().signal) }),
  },
  'one failure is for ever': {
    sink({ deliver }) {
      let failed: Error | undefined
      return {
        async deliver(...given) {
          if (failed !== undefined) throw failed
          return deliver(...given).catch((error: Error) => {
            throw (failed = error)
          })
        },
      }
    },
  },
  'reasons tell the password': {
    sink: ({ deliver }, { secrets = [] }) => ({
      deliver: async (...given) =>
        deliver(...given).catch((error: Error) => {
          throw Object.assign(error, { message: `${error.message} to ${secrets.join()}` })
        }),
    }),
  },

  // What is sent.
  'documents are written anew': sends((document) => {
    const { seal, ...rest } = JSON.parse(text(document)) as { seal: Seal }
    const { log, index, leaf } = seal
    return withSeal(Buffer.from(JSON.stringify(rest)), { log, index, leaf: Buffer.from(leaf, 'base64') })
  }),
  'the seal is missing': sends(withoutSeal),
  'the seal comes first': sends((document) => {
    const bytes = text(withoutSeal(document))
    return Buffer.from(`{"seal":${JSON.stringify(sealOf(document))},${bytes.slice(1)}`)
  }),
  'the leaf is another hash': sealed((_, bytes) => ({ leaf: leafHash(bytes.subarray(1)).toString('base64') })),
  'the index is the place in the batch': sealed((_, __, i) => ({ index: i })),
  'the log has one name for all': sealed(() => ({ log: 'main' })),
  'what looks like the end of a text is cut': sends((document) => {
    const at = text(document).indexOf('\\u0000')
    return at === -1 ? document : Buffer.from(text(document).replaceAll('\\u0000', ''))
  }),
  'texts are ASCII': sends((document) => Buffer.from(text(document).replaceAll(/[^\0-\x7f]/g, '?'))),
  'long entries are cut': sends((document) =>
    document.length > 60_000 ? sealedAs(document, withoutSeal(document).subarray(0, 60_000)) : document,
  ),
  'the last of a full batch is left out': {
    sink: ({ deliver, maxBatchEntries }) => ({
      async deliver({ log, entries }, signal) {
        const fit = entries.slice(0, Math.min(maxBatchEntries, 1_000))
        const outcomes = await deliver({ log, entries: fit }, signal)
        return entries.map((_, i) => outcomes[i] ?? 'ok')
      },
    }),
  },
  'the bytes are changed in place': {
    sink: ({ deliver }) => ({
      async deliver(batch, signal) {
        const outcomes = await deliver(batch, signal)
        for (const { bytes } of batch.entries) bytes.fill(0x20)
        return outcomes
      },
    }),
  },
  'what is sent again is there again': { forgetful: true },
  'an ordered sink sends the last first': {
    sink: ({ deliver }) => ({
      ordered: true,
      async deliver({ log, entries }, signal) {
        return (await deliver({ log, entries: entries.toReversed() }, signal)).toReversed()
      },
    }),
  },

  // Its life.
  'whom it is for is forgotten': { sink: () => ({ only: undefined }) as unknown as Partial<Sink> },
  'its name is not its own': { sink: () => ({ name: 'sink' }) },
  'its bounds are not those it was given': { sink: () => ({ maxBatchEntries: 2_000 }) },
  'its name is no name': { sink: ({ name }) => ({ name: `${name}/` }) },
  'a preparation that is refused is passed by': {
    sink: ({ setup }) => ({ setup: async (signal) => setup!(signal).catch(() => {}) }),
  },
  'a preparation that is refused is tried on and on': {
    sink: ({ setup }) => ({
      setup: async (signal) =>
        setup!(signal).catch((error: Error) => {
          throw new Error(error.message)
        }),
    }),
  },
  'closed is closed': {
    sink({ deliver }) {
      let isClosed = false
      return {
        async deliver(...given) {
          if (isClosed) throw new Error('closed')
          return deliver(...given)
        },
        async close() {
          isClosed = true
        },
      }
    },
  },
}

const silent: Record<string, Tampering> = {
  'sent is delivered': { sink: () => ({ settleAfterMs: undefined }) as unknown as Partial<Sink> },
  'that a connection broke is kept quiet': { sink: ({ lost }) => ({ lost: () => lost!() && false }) },
  'that a connection broke is told for ever': {
    sink({ lost }) {
      let was = false
      return { lost: () => (was ||= lost!()) }
    },
  },
  'it goes on over a new connection before anybody asked': {
    sink: ({ deliver, lost }) => {
      let isLost = false
      return {
        lost() {
          const was = isLost || lost!()
          isLost = false
          return was
        },
        async deliver(...given) {
          return deliver(...given).catch(async (error: unknown) => {
            if (!lost!()) throw error
            isLost = true
            return deliver(...given)
          })
        },
      }
    },
  },
}

const exact: Record<string, Tampering> = {
  'its state is not kept': { sink: () => ({ state: () => null }) },
  'its state is passed by': { sink: ({ open }) => ({ open: async (_, tools) => open!(null, tools) }) },
  'its state is that of the beginning': {
    sink({ open, state }) {
      let at: string | null = null
      return {
        async open(given, tools) {
          await open!(given, tools)
          at = state!()
        },
        state: () => at,
      }
    },
  },
  'it begins anew with each process': {
    sink: ({ open }) => ({ open: async (_, tools) => open!('0', tools) }),
  },
}

/** Sinks with one fault each, for `scoreMutants`: the suite has to catch every one of them. */
export const brokenSinks: Record<string, Subject<SinkUnderTest>> = Object.fromEntries([
  ...Object.entries(answered).map(([name, fault]) => [name, subjectWith('answered', fault)] as const),
  ...Object.entries(silent).map(([name, fault]) => [name, subjectWith('silent', fault)] as const),
  ...Object.entries(exact).map(([name, fault]) => [name, subjectWith('exact', fault)] as const),
])

function subjectWith(kind: keyof typeof SOUND, fault: Tampering): Subject<SinkUnderTest> {
  const { has, make } = SOUND[kind]
  return { has, make: async () => ({ ...make(fault), async dispose() {} }) }
}

/** Another text under the seal of that document. */
function sealedAs(document: Uint8Array, bytes: Uint8Array): Uint8Array {
  const { log, index, leaf } = sealOf(document)
  return withSeal(Buffer.concat([bytes, Buffer.from('"}')]), { log, index, leaf: Buffer.from(leaf, 'base64') })
}
