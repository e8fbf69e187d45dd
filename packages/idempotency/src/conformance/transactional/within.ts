import { randomUUID } from 'node:crypto'
import { KernelError, type Tx } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import { bytes, done, LONG_MS, print, SHORT_MS, uuidOf } from '../stage.ts'
import type { TransactionalStoreUnderTest } from '../store-under-test.ts'
import { committed, gate, remembered, txCase } from './tx-stage.ts'

const TRACE = { correlationId: 'corr-0001', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
const APART_MS = 60
const STALL_MS = 100

/** What must not be called. */
const neverRun = (): Promise<never> => Promise.reject(new Error('the work ran'))

/** What was thrown, whatever it was. */
async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => new Error(`it resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  )
}

/** Claim, work, effects and answer: one commit. */
export const withinCases: readonly Case<TransactionalStoreUnderTest>[] = [
  txCase('a commit keeps rows, effects and answer, and every repeat is told the answer', async (stage) => {
    const { store, someRef, claim, within, row, rows, equal, sameBytes } = stage
    const ref = someRef()
    const value = { any: 'value' }
    const operationId = randomUUID()
    const ran = await within(
      ref,
      async (tx) => {
        await tx.query(row('business').text)
        return { end: 'commit', bytes: bytes(0, 255, 128), statements: [row('effect'), row('another')], value }
      },
      { operationId, trace: TRACE },
    )
    equal(ran, { kind: 'ran', value, stored: true, attempt: 1 })
    equal((ran as { value: unknown }).value === value, true, 'the value is the one that the work returned')
    for (const repeat of [() => within(ref, neverRun), () => store.begin(ref, claim())]) {
      const { bytes: answer, ...others } = (await repeat()) as { bytes: Uint8Array }
      sameBytes(answer, bytes(0, 255, 128))
      equal({ ...others }, { kind: 'done', operationId, attempt: 1, trace: TRACE })
    }
    equal(await rows(), ['another', 'business', 'effect'])
  }),

  txCase('a work sees its own rows, and its effects come behind them in their order', async (stage) => {
    const { someRef, within, row, rows, equal } = stage
    await within(someRef(), async (tx) => {
      await tx.query(row('first').text)
      const text = row('x').text.replace(/^insert into (\S+).*$/, '$1')
      equal((await tx.query(`select name from ${text}`)).rows.length, 1)
      const longer = (by: string) => ({ text: `insert into ${text} (name) select max(name) || '${by}' from ${text}` })
      return committed(bytes(1), [longer('a'), longer('b')])
    })
    equal(await rows(), ['first', 'firsta', 'firstab'])
  }),

  txCase('a remembered end takes the business rows back, and keeps effects and answer', async (stage) => {
    const { someRef, within, row, rows, equal, sameBytes, answerOf } = stage
    const ref = someRef()
    const ran = await within(ref, async (tx) => {
      await tx.query(row('business').text)
      return remembered(bytes(4, 2, 2), [row('effect')])
    })
    equal(ran, { kind: 'ran', value: 'value', stored: true, attempt: 1 })
    equal((await within(ref, neverRun)).kind, 'done')
    sameBytes(await answerOf(ref), bytes(4, 2, 2))
    equal(await rows(), ['effect'])
  }),

  txCase('a remembered end works after a statement that failed', async (stage) => {
    const { someRef, within, row, refused, rows, equal } = stage
    const ref = someRef()
    const ran = await within(ref, async (tx) => {
      await tx.query(row('business').text)
      await tx.query(refused.text).catch(() => {})
      return remembered(bytes(1), [row('effect')])
    })
    equal(ran.kind, 'ran')
    equal((await within(ref, neverRun)).kind, 'done')
    equal(await rows(), ['effect'])
  }),

  txCase('a rollback leaves nothing, and the next call is a first one', async (stage) => {
    const { store, someRef, within, row, rows, equal } = stage
    const ref = someRef()
    for (let calls = 0; calls < 2; calls++) {
      const ran = await within(
        ref,
        async (tx) => {
          await tx.query(row('business').text)
          return { end: 'rollback', value: calls }
        },
        { fingerprint: print(calls) },
      )
      equal(ran, { kind: 'ran', value: calls, stored: false, attempt: 1 })
    }
    equal([await store.peek(ref), await rows()], [null, []])
    equal(await within(ref, async () => committed(bytes(1))), { kind: 'ran', value: 'value', stored: true, attempt: 1 })
  }),

  txCase('a throw leaves nothing, comes out as the same object, and the next call is a first one', async (stage) => {
    const { store, someRef, within, row, rows, equal, ok } = stage
    const ref = someRef()
    for (const thrown of [
      new Error('boom'),
      'a text',
      new KernelError('STORE_UNAVAILABLE', 'of another store'),
      new KernelError('COMMIT_UNKNOWN', 'of another database'),
    ]) {
      let runs = 0
      const failing = within(ref, async (tx: Tx) => {
        runs++
        await tx.query(row('business').text)
        // What was thrown need not be an Error.
        return Promise.reject(thrown)
      })
      ok((await thrownBy(failing)) === thrown, 'another error came out')
      equal(runs, 1)
      equal([await store.peek(ref), await rows()], [null, []])
    }
    equal(await within(ref, async () => committed(bytes(1))), { kind: 'ran', value: 'value', stored: true, attempt: 1 })
  }),

  txCase('an effect that fails leaves nothing, whatever stands before or behind it', async (stage) => {
    const { store, someRef, within, row, refused, rows, equal, ok } = stage
    for (const end of [committed, remembered]) {
      const ref = someRef()
      const failing = within(ref, async (tx) => {
        await tx.query(row('business').text)
        return end(bytes(1), [row('before'), refused, row('behind')])
      })
      ok((await thrownBy(failing)) instanceof Error)
      equal([await store.peek(ref), await rows()], [null, []])
      equal((await within(ref, async () => committed(bytes(2)))).kind, 'ran')
    }
  }),

  txCase('a failed statement that the work swallows is no success', async (stage) => {
    const { store, someRef, within, row, refused, rows, equal, ok } = stage
    const ref = someRef()
    const failing = within(ref, async (tx) => {
      await tx.query(row('business').text)
      await tx.query(refused.text).catch(() => {})
      return committed(bytes(1), [row('effect')])
    })
    ok((await thrownBy(failing)) instanceof Error)
    equal([await store.peek(ref), await rows()], [null, []])
  }),

  txCase('an answer without bytes leaves a tombstone with its rows and effects', async (stage) => {
    const { store, someRef, claim, within, row, rows, equal } = stage
    for (const [end, kept] of [
      [committed, ['business', 'effect']],
      [remembered, ['business', 'effect', 'effect']],
    ] as const) {
      const ref = someRef()
      const operationId = randomUUID()
      const ran = await within(
        ref,
        async (tx) => {
          await tx.query(row('business').text)
          return end(undefined, [row('effect')])
        },
        { operationId },
      )
      equal(ran, { kind: 'ran', value: 'value', stored: false, attempt: 1 })
      const tombstone = { kind: 'tombstone', operationId, attempt: 1 }
      equal(await within(ref, neverRun), tombstone)
      equal(await store.begin(ref, claim()), tombstone)
      equal(await rows(), kept)
    }
  }),

  txCase('an empty answer is an answer, and a large one is kept whole', async (stage) => {
    const { someRef, within, random, equal, sameBytes, answerOf } = stage
    for (const answer of [bytes(), new Uint8Array(300_000).map(() => Math.floor(random() * 256))]) {
      const ref = someRef()
      const ran = await within(ref, async () => committed(answer))
      equal((ran as { stored?: boolean }).stored, true)
      sameBytes(await answerOf(ref), answer)
    }
  }),

  txCase('another fingerprint is refused first, and runs nothing', async (stage) => {
    const { someRef, within, ended, lapsed, won, equal } = stage
    const fingerprint = print(1)
    const own = someRef()
    await within(own, async () => committed(bytes(1)), { fingerprint })
    const refs = [own]
    for (const as of [done(1), { kind: 'tombstone' }, { kind: 'unknown' }, { kind: 'lapse' }] as const) {
      const ref = someRef()
      await ended(ref, as, { fingerprint })
      refs.push(ref)
    }
    const [flying, late] = [someRef(), someRef()]
    await won(flying, { fingerprint })
    await lapsed(late, { fingerprint })
    for (const ref of [...refs, flying, late]) {
      equal(await within(ref, neverRun, { fingerprint: print(2) }), { kind: 'mismatch' })
    }
    const skipped = await within(own, neverRun, { fingerprint: print(2, 'raw') })
    equal([skipped.kind, (skipped as { fingerprintSkipped?: true }).fingerprintSkipped], ['done', true])
    equal('fingerprintSkipped' in (await within(own, neverRun, { fingerprint })), false)
  }),

  txCase('it meets what was begun on its own: replay, refusal, or a take-over', async (stage) => {
    const { store, someRef, within, ended, lapsed, won, row, rows, equal, ok, sameBytes } = stage
    const replayed = someRef()
    const own = await ended(replayed, done(7))
    const replay = (await within(replayed, neverRun)) as { bytes: Uint8Array; operationId: string }
    sameBytes(replay.bytes, bytes(7))
    equal(replay.operationId, uuidOf(own.nonce))
    for (const kind of ['tombstone', 'unknown'] as const) {
      const ref = someRef()
      await ended(ref, { kind })
      equal((await within(ref, neverRun)).kind, kind)
    }
    const busy = someRef()
    await won(busy)
    const held = await within(busy, neverRun, { waitMs: 1 })
    equal(held.kind, 'busy')
    ok((held as { leaseLeftMs: number }).leaseLeftMs > LONG_MS / 2)
    const taken = someRef()
    const old = await lapsed(taken)
    const takenOver = await within(taken, async () => committed(bytes(1), [row('effect')]))
    equal(takenOver, { kind: 'ran', value: 'value', stored: true, attempt: 2 })
    equal(await store.settle(taken, old, done(66), LONG_MS, [row('stale')]), 'lost')
    const released = someRef()
    await ended(released, { kind: 'release' })
    equal((await within(released, async () => committed(bytes(1)))).kind, 'ran')
    equal(await rows(), ['effect'])
  }),

  txCase('a rollback of a take-over gives the lapsed record back as it was', async (stage) => {
    const { store, someRef, within, lapsed, claim, equal } = stage
    const ref = someRef()
    const old = await lapsed(ref)
    equal((await within(ref, async () => ({ end: 'rollback', value: 1 }))).kind, 'ran')
    equal(await store.begin(ref, claim({ onLapsed: 'report' })), { kind: 'lapsed', attempt: 1 })
    equal(await store.settle(ref, old, done(1), LONG_MS), 'ok')
  }),

  txCase('fifty at once are one run, and forty-nine answers', async (stage) => {
    const { someRef, within, row, rows, together, equal } = stage
    const ref = someRef()
    let runs = 0
    const results = await together(50, () =>
      within(ref, async (tx) => {
        runs++
        await tx.query(row('business').text)
        return committed(bytes(runs), [row('effect')])
      }),
    )
    equal(runs, 1)
    equal(results.filter(({ kind }) => kind === 'ran').length, 1)
    const answers = results.flatMap((result) => (result.kind === 'done' ? [[...result.bytes]] : []))
    equal(
      answers,
      Array.from({ length: 49 }, () => [1]),
    )
    equal(await rows(), ['business', 'effect'])
  }),

  txCase('when the first of many rolls back, one of the others runs next', async (stage) => {
    const { someRef, within, row, rows, together, equal } = stage
    const ref = someRef()
    let runs = 0
    const results = await together(10, () =>
      within(ref, async (tx) => {
        await tx.query(row(`run ${++runs}`).text)
        return runs === 1 ? { end: 'rollback', value: 'back' } : committed(bytes(runs))
      }),
    )
    equal(runs, 2)
    equal(results.filter(({ kind }) => kind === 'ran').length, 2)
    equal(results.filter(({ kind }) => kind === 'done').length, 8)
    equal(await rows(), ['run 2'])
  }),

  txCase('one of many at once takes an expired record', async (stage) => {
    const { store, someRef, won, within, recordIsGone, together, equal } = stage
    const ref = someRef()
    equal(await store.settle(ref, await won(ref, { fingerprint: print(1) }), done(9), SHORT_MS), 'ok')
    await recordIsGone(ref)
    const results = await together(10, () => within(ref, async () => committed(bytes(1)), { fingerprint: print(2) }))
    equal(
      results.flatMap((result) => (result.kind === 'ran' ? [result.attempt] : [])),
      [1],
    )
  }),

  txCase('a record expires by its retention, counted from the end of its work', async (stage) => {
    const { store, someRef, within, recordIsGone, elapse, equal, ok } = stage
    const long = someRef()
    await within(long, async () => {
      await elapse(APART_MS)
      return committed(bytes(1))
    })
    const { ageMs, expiresInMs } = (await store.peek(long))!
    ok(ageMs + expiresInMs >= LONG_MS + APART_MS / 2, `${expiresInMs} ms left at the age of ${ageMs} ms`)
    ok(expiresInMs <= LONG_MS + 1)
    const short = someRef()
    await within(short, async () => committed(bytes(1)), { retainMs: SHORT_MS, fingerprint: print(1) })
    await recordIsGone(short)
    const again = await within(short, async () => committed(bytes(2)), { fingerprint: print(2) })
    equal(again, { kind: 'ran', value: 'value', stored: true, attempt: 1 })
  }),

  txCase('a serialization failure runs the work again, from the start, as often as told', async (stage) => {
    const { store, someRef, within, row, rows, equal, ok } = stage
    for (const code of ['40001', '40P01']) {
      for (const retries of [0, 2]) {
        const ref = someRef()
        let runs = 0
        const work = (failures: number) => async (tx: Tx) => {
          await tx.query(row(`${code} of ${retries}`).text)
          if (++runs <= failures) throw Object.assign(new Error('could not serialize'), { code })
          return committed(bytes(runs))
        }
        const always = await thrownBy(within(ref, work(Infinity), { retries }))
        ok((always as { code?: unknown }).code === code, String(always))
        equal([runs, await store.peek(ref)], [retries + 1, null])
        runs = 0
        equal((await within(ref, work(retries), { retries })).kind, 'ran')
        equal(runs, retries + 1)
      }
    }
    equal(await rows(), ['40001 of 0', '40001 of 2', '40P01 of 0', '40P01 of 2'])
  }),

  txCase('a work that ends the transaction itself is no success, and never runs twice', async (stage) => {
    const { someRef, within, row, rows, equal, ok } = stage
    for (const end of ['commit', 'rollback']) {
      const ref = someRef()
      const failing = within(ref, async (tx) => {
        await tx.query(row(end).text)
        await ((tx.raw ?? tx) as Tx).query(end)
        return committed(bytes(1), [row('effect')])
      })
      ok((await thrownBy(failing)) instanceof Error)
      const kept = (await rows()).includes(end)
      const next = await within(ref, async () => committed(bytes(2)))
      equal(next.kind, kept ? 'unknown' : 'ran', kept ? 'its rows are there' : 'nothing is there')
    }
    equal((await rows()).includes('effect'), false)
  }),

  txCase('a work that stands still is given up, and leaves nothing', async (stage) => {
    const { store, someRef, within, row, rows, comes, equal, ok } = stage
    const ref = someRef()
    const never = gate()
    const standing = within(
      ref,
      async (tx) => {
        await tx.query(row('business').text)
        await never.passed
        return { end: 'rollback', value: 'too late' }
      },
      { stallMs: STALL_MS },
    )
    try {
      ok((await comes(thrownBy(standing), 'a work that stands still is not given up')) instanceof Error)
    } finally {
      never.open()
    }
    equal((await within(ref, async () => committed(bytes(1)))).kind, 'ran')
    equal((await store.peek(ref))?.attempt, 1)
    equal(await rows(), [])
  }),

  txCase(
    'before its commit nobody sees anything of it: no row, no record',
    async (stage) => {
      const { store, someRef, within, row, rows, equal } = stage
      const ref = someRef()
      await within(ref, async (tx) => {
        await tx.query(row('business').text)
        equal([await rows(), await store.peek(ref)], [[], null])
        return committed(bytes(1), [row('effect')])
      })
      equal([await rows(), (await store.peek(ref))?.state], [['business', 'effect'], 'done'])
    },
    'parallel',
  ),

  txCase(
    'a duplicate waits no longer than it is told, and is then busy',
    async (stage) => {
      const { someRef, within, comes, equal, ok } = stage
      const ref = someRef()
      const [started, go] = [gate(), gate()]
      const first = within(ref, async () => {
        started.open()
        await go.passed
        return committed(bytes(1))
      })
      try {
        await started.passed
        for (const waitMs of [0, 50]) {
          const busy = await comes(within(ref, neverRun, { waitMs }), `it waits longer than ${waitMs} ms`)
          equal(busy.kind, 'busy')
          ok((busy as { leaseLeftMs: number }).leaseLeftMs > 0)
        }
      } finally {
        go.open()
        await first
      }
      equal((await within(ref, neverRun)).kind, 'done')
    },
    'parallel',
  ),

  txCase(
    'a duplicate that waits is told the answer; two refs do not wait for each other',
    async (stage) => {
      const { someRef, within, comes, equal } = stage
      const ref = someRef()
      const [started, go] = [gate(), gate()]
      const first = within(ref, async () => {
        started.open()
        await go.passed
        return committed(bytes(1))
      })
      try {
        await started.passed
        const waiting = within(ref, neverRun)
        const other = within(someRef(), async () => committed(bytes(2)))
        equal((await comes(other, 'another ref waits')).kind, 'ran')
        go.open()
        equal((await waiting).kind, 'done')
      } finally {
        go.open()
        await first
      }
    },
    'parallel',
  ),
]
