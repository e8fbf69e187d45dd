import type { Case } from '@keelson/kernel/conformance'
import { parseStamp, shiftStamp } from '../../stamp.ts'
import type { WireServer } from '../wire-server.ts'
import { mediaType, task, told, wireCase } from './stage.ts'

const HOUR_MS = 3_600_000
/** How far the clocks of a server and of who tests it may lie apart. */
const NEAR_MS = 60_000
const MAX_DRIFT_MS = 60_000

/** Results, their memory, and clocks. */
export const pushCases: readonly Case<WireServer>[] = [
  wireCase('a push has as many results as operations, in their order, in JSON that nobody stores', async (stage) => {
    const { device, name, ask, equal } = stage
    const one = device('ann')
    const ops = ['a', 'b', 'c'].map((word) => one.op(name(word), 'put'))
    const { status, headers, body } = await ask('ann', '/push', { v: 1, client: one.client, ops })
    equal([status, mediaType(headers), headers.get('cache-control')], [200, 'application/json', 'no-store'])
    equal(
      body.results.map(({ op, status: became }: { op: string; status: string }) => [op, became]),
      ops.map(({ op }) => [op, 'applied']),
    )
    equal(await one.push(), [])
  }),

  wireCase('an operation counts once, however often it is sent, and whatever its stamp is then', async (stage) => {
    const { device, name, equal } = stage
    const [one, two] = [device('ann'), device('bob')]
    const id = name('t1')
    const op = one.op(id, 'put')
    const [first] = await one.push(op)
    await two.pull()
    await two.push(two.op(id, 'patch', { set: { title: 'later' }, seen: two.rec(id)!.h }))
    const replay = { ...first, replay: true }
    equal(await one.push(op), [replay])
    equal(await one.push({ ...op, h: shiftStamp(op.h, 1_000) }), [replay])
    const [fresh, again] = await one.push(one.op(name('t2'), 'put'), op)
    equal([fresh!.status, again], ['applied', replay])
    await two.pull()
    equal(two.rec(id)!.doc, { ...task, title: 'later' })
  }),

  wireCase('the same id for another operation is refused', async ({ device, name, equal }) => {
    const one = device('ann')
    const op = one.op(name('t1'), 'put')
    await one.push(op)
    const others = [
      { ...op, set: { ...task, done: true } },
      { ...op, id: name('t2') },
      { ...op, t: 'patch' },
    ]
    for (const other of others) equal(told(await one.push(other)), ['rejected op-reuse'])
    equal(told(await one.push(op)), ['applied'])
  }),

  wireCase('a whole push that is sent by several at once counts once', async (stage) => {
    const { device, name, equal, together } = stage
    const one = device('ann')
    const ops = Array.from({ length: 20 }, (_, i) => one.op(name(`t${i}`), 'put'))
    const answers = await together(5, () => one.push(...ops))
    equal(
      answers.map((results) => results.map(({ h }) => h)),
      answers.map(() => answers[0]!.map(({ h }) => h)),
    )
    equal(answers.flat().filter(({ replay }) => replay !== true).length, ops.length)
  }),

  wireCase('what waits for another is sent again, and what waits for nothing good is refused', async (stage) => {
    const { device, name, equal, ok } = stage
    const one = device('ann')
    const [first, second] = [one.op(name('t1'), 'put'), one.op(name('t2'), 'put')]
    const waits = { ...second, dep: first.op }
    const [early] = await one.push(waits)
    equal(told([early!]), ['retry dependency'])
    ok(Number(early!.retryAfterMs) > 0, 'it says when')
    equal(told(await one.push(first, waits)), ['applied', 'applied'])
    const bad = one.op(name('t3'), 'patch')
    equal(told(await one.push(bad, one.op(name('t4'), 'put', { dep: bad.op }))), [
      'conflict gone',
      'rejected dependency',
    ])
  }),

  wireCase('a clock that is wrong is set right, by the time that the device says', async (stage) => {
    const { device, name, ask, equal, ok } = stage
    for (const offMs of [-48 * HOUR_MS, -HOUR_MS, HOUR_MS, 48 * HOUR_MS]) {
      const one = device('ann', offMs)
      const ops = [one.op(name(`a${offMs}`), 'put'), one.op(name(`b${offMs}`), 'put')]
      const { body } = await ask('ann', '/push', { v: 1, client: one.client, sentAt: Date.now() + offMs, ops })
      equal(told(body.results), ['applied', 'applied'])
      for (const { h } of body.results) ok(Math.abs(parseStamp(h).ms - body.now) < NEAR_MS, `${offMs} ms off: ${h}`)
      ok(body.results[0].h < body.results[1].h, 'its order stays')
    }
  }),

  wireCase('no stamp is far ahead of the server, whatever a device says', async ({ device, name, equal, ok, ask }) => {
    const one = device('ann', 6 * HOUR_MS)
    const ops = [one.op(name('a'), 'put'), one.op(name('b'), 'put')]
    const { body } = await ask('ann', '/push', { v: 1, client: one.client, sentAt: Date.now(), ops })
    equal(told(body.results), ['applied', 'applied'])
    for (const { h } of body.results) ok(parseStamp(h).ms <= body.now + MAX_DRIFT_MS, 'it is cut off')
    ok(body.results[0].h < body.results[1].h, 'its order stays')
    const other = device('ann', 48 * HOUR_MS)
    equal(told(await other.push(other.op(name('c'), 'put'))), ['rejected clock-drift'])
  }),

  wireCase('what is too old is a conflict, and stamps that go back want another client', async (stage) => {
    const { device, name, equal } = stage
    const old = device('ann', -31 * 24 * HOUR_MS)
    equal(told(await old.push(old.op(name('t1'), 'put'))), ['conflict expired'])
    const one = device('ann')
    const [copied, newer] = [one.op(name('t2'), 'put'), one.op(name('t3'), 'put')]
    await one.push(newer)
    equal(told(await one.push(copied)), ['retry new-node'])
    // It was not remembered.
    equal(told(await device('ann').push(copied)), ['applied'])
  }),

  wireCase('a client is its owner’s', async ({ device, name, ask, refused, equal }) => {
    const one = device('ann')
    await one.push(one.op(name('t1'), 'put'))
    const ops = [one.op(name('t2'), 'put')]
    refused(await ask('bob', '/push', { v: 1, client: one.client, ops }), 403, 'client-foreign')
    const { body } = await ask('ann', `/status/${one.client}`)
    equal([body.client, body.pushed, body.openConflicts], [one.client, 1, 0])
    refused(await ask('bob', `/status/${one.client}`), 404, 'not-found')
    refused(await ask('ann', `/status/${name('nobody')}`), 404, 'not-found')
  }),
]
