import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '@keelson/cache'
import { reply } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import { problem } from '../../problem.ts'
import type { HttpSubject, Kind } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route, type Site, type TestRoute } from '../stage.ts'

const read = (): TestRoute =>
  route('text', { method: 'GET', path: '/read', policy: { cached: { ttl: '10m', per: 'scope', tags: ['texts'] } } })
const write = (kind: Kind, more: Parameters<typeof route>[1] = {}): TestRoute =>
  route(kind, { policy: { invalidates: ['texts'] }, ...more })

/** True when the cached answer was made anew. */
async function isDropped(site: Site, reader: TestRoute): Promise<boolean> {
  const before = reader.runs
  await site.call(reader, undefined)
  return reader.runs > before
}

/** What writes make untrue. */
export const invalidatesCases: readonly Case<HttpSubject>[] = [
  httpCase('a write that succeeded drops what it made untrue, one that failed nothing', async (stage) => {
    const { supports, serve, equal } = stage
    const outcomes = (
      [
        ['json', true],
        ['text', true],
        ['empty', true],
        ['no-content', true],
        ['stream', true],
        ['redirect', true],
        ['large', true],
        ['throw-4xx', false],
        ['throw', false],
      ] as const
    ).filter(([kind]) => supports(kind))
    const reader = read()
    const writers = outcomes.map(([kind]) => write(kind))
    const site = await serve([reader, ...writers])
    await site.call(reader, undefined)
    for (const [i, [kind, drops]] of outcomes.entries()) {
      await site.call(writers[i]!, undefined)
      equal(await isDropped(site, reader), drops, kind)
    }
  }),

  httpCase('a write that its handler breaks off drops nothing', async ({ supports, serve, equal }) => {
    if (!supports('stream')) return
    const reader = read()
    const broken = write('stream', {
      async *pieces() {
        yield 'one'
        yield 'two'
        await sleep(1)
        throw new Error('the source broke')
      },
    })
    const site = await serve([reader, broken])
    await site.call(reader, undefined)
    await site.call(broken, undefined)
    equal(await isDropped(site, reader), false)
  }),

  httpCase('nothing of a write’s last byte leaves before everybody knows', async (stage) => {
    const { supports, serve, equal, ok } = stage
    for (const kind of (['json', 'no-content', 'stream', 'length-then-late-end'] as const).filter((one) =>
      supports(one),
    )) {
      const writer = write(kind)
      const keyed = write(kind, { path: '/keyed', policy: { invalidates: ['texts'], idempotent: {} } })
      const site = await serve([writer, keyed])
      const { length } = (await site.call(writer, undefined)).body
      for (const [one, key] of [
        [writer, undefined],
        [keyed, stage.key()],
      ] as const) {
        let early: Promise<boolean> | undefined
        let asked = 0
        const connection = site.openCall(one, key)
        const arrived = connection.until(({ status, body }) => status > 0 && body.length >= length)
        site.watched.beforeInvalidate = async () => {
          asked++
          await (early = Promise.race([arrived.then(() => true), sleep(MOMENT_MS, false)]))
        }
        await arrived
        ok(!(await early), `${kind}: the answer was there before its invalidation`)
        equal(asked, 1, kind)
      }
    }
  }),

  httpCase('a client that leaves changes nothing: its write is done, and dropped', async ({ serve, equal, until }) => {
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const reader = read()
    const writer = write('json', {
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([reader, writer])
    await site.call(reader, undefined)
    const connection = site.openCall(writer, undefined)
    await entered.promise
    connection.leave()
    await sleep(MOMENT_MS)
    equal(await isDropped(site, reader), false)
    let asked = 0
    site.watched.beforeInvalidate = () => void asked++
    go.resolve()
    await until('it is invalidated', () => asked === 1)
    await until('it is dropped', () => isDropped(site, reader))
  }),

  httpCase('a write whose cache is away has succeeded all the same', async ({ serve, equal }) => {
    const writer = write('json')
    const site = await serve([writer])
    site.watched.beforeInvalidate = () => {
      throw new Error('away')
    }
    const answer = await site.call(writer, undefined)
    equal(answer.status, 201)
    equal(
      site.log.filter(({ level }) => level === 'error').map(({ message }) => message),
      ['answered, but not invalidated'],
    )
  }),

  httpCase('tags are told from the request and its answer', async ({ serve, equal }) => {
    const item = route('text', {
      method: 'GET',
      path: '/items/:id',
      policy: { cached: { ttl: '10m', per: 'scope', tags: (x, { status }) => [`${status} ${x.path}`] } },
    })
    const change = route('json', {
      path: '/items/:id',
      policy: { invalidates: { tags: (x, { status }) => (status === 201 ? [`200 ${x.path}`] : []) } },
    })
    const site = await serve([item, change])
    for (const path of ['/items/1', '/items/2']) await site.call(item, undefined, { path })
    await site.call(change, undefined, { path: '/items/1' })
    for (const path of ['/items/1', '/items/2']) await site.call(item, undefined, { path })
    equal(item.runs, 3)
  }),

  httpCase('two nodes: behind a write’s answer no node has older data', async ({ serve, equal }) => {
    const nodes = memoryStore()
    const readers = [read(), read()]
    const writer = write('json')
    const sites = [await serve([readers[0]!, writer], { nodes }), await serve([readers[1]!], { nodes })] as const
    const tag = (await sites[0].call(readers[0]!, undefined)).header('etag') ?? ''
    await sites[1].call(readers[1]!, undefined)
    equal(
      readers.map(({ runs }) => runs),
      [1, 0],
    )
    await sites[0].call(writer, undefined)
    await sites[1].call(readers[1]!, undefined, { headers: [['If-None-Match', tag]] })
    equal(
      readers.map(({ runs }) => runs),
      [1, 1],
    )
  }),

  httpCase(
    'a transactional write drops when it commits, not when it rolls back',
    async (stage) => {
      const { serve, subject, equal } = stage
      const reader = read()
      let fails: Error | undefined
      let answers = reply(201, { id: 7 })
      const writer = route('work', {
        policy: { transactional: true, invalidates: ['texts'] },
        work() {
          if (fails !== undefined) throw fails
          return answers
        },
      })
      const site = await serve([reader, writer], { http: { db: subject.database!.db } })
      await site.call(reader, undefined)
      // An effect: nothing is invalidated by hand, in the middle of the transaction.
      site.watched.beforeInvalidate = () => {
        throw new Error('not in a transaction')
      }
      for (const [error, status, drops] of [
        [problem(409, 'taken'), 409, false],
        [new Error('boom'), 500, false],
        [undefined, 422, false],
        [undefined, 201, true],
      ] as const) {
        fails = error
        answers = reply(status, { id: 7 })
        equal((await site.call(writer, undefined, jsonBody)).status, status)
        equal(await isDropped(site, reader), drops)
      }
    },
    'database',
  ),
]

const jsonBody = { headers: [['Content-Type', 'application/json']], body: '{}' } as const
