import type { Case } from '@keelson/kernel/conformance'
import { bytes, LONG_MS, print, SHORT_MS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** Over every limit that a column, a packet or a string might have by default. */
const LARGE_BYTES = 300_000

/** Contents that something on the way might change. */
function contents({ random }: Stage): Record<string, Uint8Array> {
  return {
    'one zero': bytes(0),
    'one 255': bytes(255),
    'every value': new Uint8Array(256).map((_, i) => i),
    'every value backwards': new Uint8Array(256).map((_, i) => 255 - i),
    'not UTF-8': bytes(0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf8, 0xff),
    'a byte order mark': bytes(0xef, 0xbb, 0xbf, 0x61),
    'line ends': bytes(13, 10, 10, 13, 0, 26),
    'what SQL might read': new TextEncoder().encode(`'; drop table x; -- \\x00 "{}[]$1`),
    'what JSON might read': new TextEncoder().encode('{"type":"Buffer","data":[1]}'),
    '300 kB by chance': new Uint8Array(LARGE_BYTES).map(() => Math.floor(random() * 256)),
  }
}

/** A part of a larger buffer, as sockets and codecs hand out. */
function part(of: Uint8Array): Uint8Array {
  const whole = new Uint8Array(of.length + 20).fill(99)
  whole.set(of, 10)
  return whole.subarray(10, 10 + of.length)
}

/** Bytes are bytes, and the store's own. */
export const bytesCases: readonly Case<StoreUnderTest>[] = [
  storeCase('any bytes are kept as an answer, an empty one too', async (stage) => {
    const { store, someRef, won, equal, sameBytes, answerOf } = stage
    for (const [name, content] of Object.entries({ none: bytes(), ...contents(stage) })) {
      const ref = someRef()
      equal(await store.settle(ref, await won(ref), { kind: 'done', bytes: part(content) }, LONG_MS), 'ok', name)
      sameBytes(await answerOf(ref), content, name)
      equal((await store.peek(ref))?.bytes, content.length, name)
    }
  }),

  storeCase('any bytes are kept as a checkpoint', async (stage) => {
    const { store, someRef, won, leaseIsOver, equal, sameBytes } = stage
    for (const [name, content] of Object.entries(contents(stage))) {
      const ref = someRef()
      equal(await store.touch(ref, await won(ref), SHORT_MS, part(content)), 'ok', name)
      await leaseIsOver(ref)
      sameBytes((await won(ref)).checkpoint, content, name)
    }
  }),

  storeCase('any bytes are kept as an operator’s answer', async (stage) => {
    const { store, someRef, ended, equal, sameBytes, answerOf } = stage
    for (const [name, content] of Object.entries({ none: bytes(), ...contents(stage) })) {
      const ref = someRef()
      await ended(ref, { kind: 'unknown' })
      equal(await store.clear(ref, { bytes: part(content) }), true, name)
      sameBytes(await answerOf(ref), content, name)
    }
  }),

  storeCase('refs that differ in one bit never meet', async (stage) => {
    const { store, someRef, won, together, equal, sameBytes, answerOf } = stage
    const ref = someRef()
    const near = Array.from({ length: 128 }, (_, bit) => {
      const other = new Uint8Array(ref)
      other[bit >> 3]! ^= 1 << (bit & 7)
      return part(other)
    })
    const owns = await together(near.length, (i) => won(near[i]!))
    equal(await store.peek(ref), null)
    const ends = await together(near.length, (i) =>
      store.settle(near[i]!, owns[i]!, { kind: 'done', bytes: bytes(i) }, LONG_MS),
    )
    equal(new Set(ends), new Set(['ok']))
    const answers = await together(near.length, (i) => answerOf(near[i]!))
    answers.forEach((answer, i) => sameBytes(answer, bytes(i)))
  }),

  storeCase('any bytes are a nonce, and are the operation id', async (stage) => {
    const { store, someRef, claim, equal } = stage
    for (const nonce of [
      new Uint8Array(16),
      new Uint8Array(16).fill(255),
      bytes(0, 10, 13, 34, 39, 92, 0, 1, 200, 201, 0, 0, 0, 254, 255, 0),
    ]) {
      const ref = someRef()
      const begin = (await store.begin(ref, claim({ nonce: part(nonce) }))) as { kind: string; fence: bigint }
      equal(begin.kind, 'yours')
      equal((await store.begin(ref, claim({ nonce }))).kind, 'yours')
      const lastBit = new Uint8Array(nonce)
      lastBit[15]! ^= 1
      equal((await store.begin(ref, claim({ nonce: lastBit }))).kind, 'busy')
      const own = { nonce: part(nonce), fence: begin.fence }
      equal(await store.settle(ref, own, { kind: 'tombstone' }, LONG_MS), 'ok')
      const { operationId } = (await store.begin(ref, claim())) as { operationId: string }
      equal(operationId.replaceAll('-', ''), Buffer.from(nonce).toString('hex'))
    }
  }),

  storeCase('what a caller does with its arrays afterwards changes nothing', async (stage) => {
    const { store, someRef, claim, leaseIsOver, equal, sameBytes, answerOf } = stage
    const ref = someRef()
    const brought = { ref: new Uint8Array(ref), nonce: new Uint8Array(claim().nonce), fingerprint: print(1) }
    const nonce = new Uint8Array(brought.nonce)
    const begin = (await store.begin(brought.ref, claim(brought))) as { kind: string; fence: bigint }
    equal(begin.kind, 'yours')
    brought.ref.fill(0)
    brought.nonce.fill(0)
    brought.fingerprint.digest.fill(2)
    equal(await store.begin(ref, claim({ fingerprint: print(2) })), { kind: 'mismatch' })
    equal((await store.begin(ref, claim({ fingerprint: print(1) }))).kind, 'busy')

    const own = { nonce, fence: begin.fence }
    const checkpoint = bytes(1, 2, 3)
    equal(await store.touch(ref, own, SHORT_MS, checkpoint), 'ok')
    checkpoint.fill(9)
    await leaseIsOver(ref)
    const second = await stage.won(ref)
    sameBytes(second.checkpoint, bytes(1, 2, 3), 'the checkpoint')

    const answer = bytes(4, 5, 6)
    equal(await store.settle(ref, second, { kind: 'done', bytes: answer }, LONG_MS), 'ok')
    answer.fill(9)
    sameBytes(await answerOf(ref), bytes(4, 5, 6), 'the answer')

    const told = someRef()
    await stage.ended(told, { kind: 'unknown' })
    const given = bytes(7, 8)
    equal(await store.clear(told, { bytes: given }), true)
    given.fill(9)
    sameBytes(await answerOf(told), bytes(7, 8), 'the operator’s answer')
  }),

  storeCase('what is done with an answer changes nothing', async (stage) => {
    const { someRef, ended, sameBytes, answerOf } = stage
    const ref = someRef()
    await ended(ref, { kind: 'done', bytes: bytes(1, 2, 3) })
    const answer = await answerOf(ref)
    answer.fill(9)
    sameBytes(await answerOf(ref), bytes(1, 2, 3))
  }),

  storeCase('what is done with a checkpoint changes nothing', async ({ store, someRef, won, claim, ok, sameBytes }) => {
    const ref = someRef()
    const own = await won(ref)
    await store.touch(ref, own, LONG_MS, bytes(4, 5))
    await store.settle(ref, own, { kind: 'lapse' }, LONG_MS)
    const mine = claim()
    // A repeated begin tells it again.
    for (let asked = 0; asked < 2; asked++) {
      const { checkpoint } = (await store.begin(ref, mine)) as { checkpoint?: Uint8Array }
      if (checkpoint === undefined) return ok(false, 'the checkpoint is lost')
      sameBytes(checkpoint, bytes(4, 5))
      checkpoint.fill(9)
    }
  }),
]
