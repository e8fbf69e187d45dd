import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '@keelson/kernel/conformance'
import { keepAlive, type Answer } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route } from '../stage.ts'

const keyed = { idempotent: {} }

/** Connections that end before their answer. */
export const leavingCases: readonly Case<HttpSubject>[] = [
  httpCase('a client that leaves in the middle of its body claims nothing', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    const mine = key()
    const connection = site.openCall(json, mine, { headers: [['Content-Type', 'application/json']], length: 1_000 })
    connection.socket.write('{"half":')
    await sleep(MOMENT_MS)
    connection.leave()
    await sleep(MOMENT_MS)
    equal([json.runs, site.watched.begins, await site.find(json, mine)], [0, 0, null])
  }),

  httpCase('a client that leaves changes nothing: the handler goes on, and the retry is a replay', async (stage) => {
    const { serve, key, equal, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const json = route('json', {
      policy: keyed,
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([json])
    const mine = key()
    const connection = site.openCall(json, mine)
    await entered.promise
    connection.leave()
    await sleep(MOMENT_MS)
    go.resolve()
    await until('the answer is stored', async () => (await site.find(json, mine))?.state === 'done')
    const again = await site.call(json, mine)
    equal([again.status, again.header('idempotent-replayed'), json.runs], [201, 'true', 1])
    equal(
      site.log.filter(({ level }) => level === 'error'),
      [],
    )
  }),

  httpCase('a connection goes on behind every answer, whether its body was read or not', async (stage) => {
    const { serve, key, equal } = stage
    const json = route('json', { policy: { idempotent: { required: true } } })
    const closed = route('text', { policy: { allowIps: ['203.0.113.9'] } })
    const none = route('no-content', { policy: {} })
    const site = await serve([json, closed, none])
    const line = keepAlive(site.url)
    const mine = ['Idempotency-Key', key()] as const
    const type = ['Content-Type', 'application/json'] as const
    const body = JSON.stringify({ text: 'x'.repeat(50_000) })
    const post = (path: string, ...headers: (readonly [string, string])[]): Promise<Answer> =>
      line.send({ method: 'POST', path, headers: [type, ...headers], body })
    const statuses = []
    for (let i = 0; i < 2; i++) {
      statuses.push((await post(closed.path)).status)
      statuses.push((await post(json.path)).status)
      statuses.push((await post(json.path, mine)).status)
      statuses.push((await post('/nowhere')).status)
      statuses.push((await post(none.path)).status)
    }
    line.close()
    equal(statuses, [403, 400, 201, 404, 204, 403, 400, 201, 404, 204])
    equal(json.runs, 1)
  }),

  httpCase('an answer that its handler breaks off is broken for the client, and its key is free', async (stage) => {
    const { supports, serve, key, equal, ok } = stage
    if (!supports('stream')) return
    let breaks = true
    const stream = route('stream', {
      policy: keyed,
      async *pieces() {
        yield 'one'
        yield 'two'
        await sleep(1)
        if (breaks) throw new Error('the source broke')
        yield 'three'
      },
    })
    const site = await serve([stream])
    const mine = key()
    const raw = site.openCall(stream, mine)
    const broken = await raw.whole()
    ok(!broken.body.toString().includes('three'))
    // As long as nothing has left, a framework may still answer the error.
    ok(!raw.isComplete() || broken.status >= 500, 'a broken answer must not look complete')
    breaks = false
    const again = await site.call(stream, mine)
    equal([again.body.toString(), again.header('idempotent-replayed'), stream.runs], ['onetwothree', undefined, 2])
  }),

  httpCase('an answer that never ends behind a client that left is given up after its lease', async (stage) => {
    const { supports, serve, key, equal, until } = stage
    if (!supports('never-ends')) return
    let ends = false
    const never = route('never-ends', {
      policy: keyed,
      async *pieces() {
        yield 'one'
        yield 'two'
        if (!ends) await new Promise(() => {})
      },
    })
    const site = await serve([never], { core: { lease: '3s' } })
    const mine = key()
    const connection = site.openCall(never, mine)
    await connection.until(({ body }) => body.length > 0)
    equal((await site.find(never, mine))?.state, 'inflight')
    connection.leave()
    ends = true
    await until('the key is free', async () => (await site.find(never, mine)) === null)
    const again = await site.call(never, mine)
    equal([again.body.toString(), never.runs], ['onetwo', 2])
  }),
]
