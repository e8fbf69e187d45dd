import assert from 'node:assert/strict'
import type { Answer, client } from './client.ts'
import type { Step } from './step.ts'

/** The part of the story about one write, and what reads it. */
export function bookingSteps(key: string, clients: readonly ReturnType<typeof client>[]): Step[] {
  const { book, look, rows, onRecord } = clients[0]!
  let first: Answer

  return [
    {
      name: 'a merchant books a parcel: 201, its address, a correlation id',
      async run() {
        first = await book(`${key}-1`)
        assert.equal(first.status, 201)
        assert.match(first.headers.get('location') ?? '', /^\/shipments\/\d+$/)
        assert.ok(first.headers.get('x-correlation-id'))
        assert.deepEqual(await rows(`${key}-1`), { shipments: 1, events: 1, answers: 1, entries: 1 })
      },
    },
    {
      name: "the same request to the other frameworks' nodes: the same bytes, marked as replayed, still one row",
      async run() {
        for (const other of clients) {
          const again = await other.book(`${key}-1`)
          assert.equal(again.status, 201)
          assert.equal(again.headers.get('idempotent-replayed'), 'true')
          assert.equal(again.headers.get('location'), first.headers.get('location'))
          assert.deepEqual(again.bytes, first.bytes)
        }
        assert.deepEqual(await rows(`${key}-1`), { shipments: 1, events: 1, answers: 1, entries: 1 })
      },
    },
    {
      name: 'the same key with another body: refused with 422',
      async run() {
        const other = await book(`${key}-1`, { kg: 7 })
        assert.equal(other.status, 422)
        assert.equal(other.json().code, 'key-reused')
        await onRecord(`${key}-1`, [422])
      },
    },
    {
      name: 'somebody unknown and an auditor try to book on every node: 401 and 403, both on record',
      async run() {
        for (const [i, { book }] of clients.entries()) {
          assert.equal((await book(`${key}-n${i}`, { merchant: 'nobody' })).status, 401)
          assert.equal((await book(`${key}-n${i}`, { merchant: 'a1' })).status, 403)
          await onRecord(`${key}-n${i}`, [401, 403])
        }
      },
    },
    {
      name: 'another merchant with the same key: a booking of its own, and no look at the first',
      async run() {
        const other = await book(`${key}-1`, { merchant: 'm2', to: `${key}-m2` })
        assert.equal(other.status, 201)
        assert.equal(other.headers.get('idempotent-replayed'), null)
        const path = first.headers.get('location')!
        assert.deepEqual([await look('m1', path), await look('m2', path)], [200, 404])
      },
    },
    {
      name: 'the list of parcels is cached on every node, and a booking on one of them changes it on all at once',
      async run() {
        const id = first.headers.get('location')!.split('/').at(-1)!
        const listed = async (): Promise<unknown[]> =>
          Promise.all(clients.map(async ({ list }) => (await list('m1', id)).json().items!.length))
        assert.deepEqual(await listed(), [0, 0, 0])
        const again = await clients[2]!.list('m1', id)
        assert.match(again.headers.get('cache-status') ?? '', /^keelson; hit/)
        const known = { 'if-none-match': again.headers.get('etag')! }
        assert.equal((await clients[1]!.list('m1', id, known)).status, 304)
        assert.equal((await clients[1]!.book(`${key}-5`)).status, 201)
        assert.deepEqual(await listed(), [1, 1, 1])
        assert.equal((await clients[1]!.list('m1', id, known)).status, 200)
      },
    },
    {
      name: 'fifty times the same booking at once over all nodes: one row, fifty equal answers',
      async run() {
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, i) => clients[i % clients.length]!.book(`${key}-2`)),
        )
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
        assert.equal(new Set(answers.map(({ bytes }) => bytes.toString())).size, 1)
        assert.deepEqual(await rows(`${key}-2`), { shipments: 1, events: 1, answers: 1, entries: 1 })
      },
    },
    {
      name: 'a parcel of five tons: refused with 400, nothing is left, and its key stays free',
      async run() {
        const heavy = await book(`${key}-3`, { kg: 5000 })
        assert.equal(heavy.status, 400)
        assert.deepEqual(await rows(`${key}-3`), { shipments: 0, events: 0, answers: 0, entries: 0 })
        // Of a write that was refused, the log of who did what alone knows.
        await onRecord(`${key}-3`, [400])
        assert.equal((await book(`${key}-3`)).status, 201)
      },
    },
    {
      name: 'a merchant on trial books four times over all nodes: the fourth is 429, and says when there is more',
      async run() {
        const answers = []
        for (let i = 0; i < 4; i++) answers.push(await clients[i % 3]!.book(`${key}-t${i}`, { merchant: 'm3' }))
        const refused = answers[3]!
        assert.equal(refused.status, 429)
        assert.equal(refused.json().code, 'rate-limited')
        assert.match(refused.headers.get('ratelimit-policy') ?? '', /^"minute";q=3;w=60/)
        assert.ok(Number(refused.headers.get('retry-after')) > 0)
        await onRecord(`${key}-t3`, [429])
      },
    },
  ]
}
