import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '@keelson/kernel/conformance'
import type { Exchange } from '../../exchange.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route, type TestRoute } from '../stage.ts'

/** What http is shown of a request. */
export const exchangeCases: readonly Case<HttpSubject>[] = [
  httpCase('a request is shown as the client sent it', async ({ serve, key, equal }) => {
    const bytes = Buffer.from('{ "a" : 1 }')
    const looking = watched(async (x) => ({
      method: x.method,
      route: x.route,
      path: x.path,
      sent: x.query,
      query: [...x.searchParams],
      lines: x.headerLines('X-Twice'),
      joined: x.header('x-twice'),
      none: [x.header('x-none'), x.headerLines('x-none')],
      isLocal: isLocal(x),
      body: Buffer.from(await x.rawBody()).toString(),
      again: Buffer.from(await x.rawBody()).toString(),
      headersSent: x.headersSent,
      isAborted: x.signal.aborted,
    }))
    const site = await serve([looking.route])
    const answer = await site.call(looking.route, key(), {
      path: '/items/a%20b?q=1&q=2&r=%C3%B6',
      headers: [
        ['Content-Type', 'application/json'],
        ['X-Twice', 'one'],
        ['X-Forwarded-For', '203.0.113.9'],
        ['x-twice', 'two'],
      ],
      body: bytes,
    })
    equal(answer.status, 201)
    equal(looking.seen, [
      {
        method: 'POST',
        route: '/items/:id',
        path: '/items/a%20b',
        sent: 'q=1&q=2&r=%C3%B6',
        query: [
          ['q', '1'],
          ['q', '2'],
          ['r', 'ö'],
        ],
        lines: ['one', 'two'],
        joined: 'one, two',
        none: [undefined, []],
        isLocal: true,
        body: bytes.toString(),
        again: bytes.toString(),
        headersSent: false,
        isAborted: false,
      },
    ])
  }),

  httpCase('a header that is hidden is hidden from the framework only', async (stage) => {
    const { supports, serve, key, equal } = stage
    if (!supports('echo-context')) return
    const seen: unknown[] = []
    const rule = (x: Exchange): string | undefined => {
      x.hideHeader('If-None-Match')
      seen.push(x.header('if-none-match'), x.headerLines('if-none-match'))
      return x.header('idempotency-key')
    }
    const hidden = route('echo-context', { policy: { idempotent: { key: rule } } })
    const shown = route('echo-context', { path: '/shown' })
    const site = await serve([hidden, shown])
    const headers = [['If-None-Match', '"1"'] as const]
    const [one, other] = [await site.call(hidden, key(), { headers }), await site.call(shown, undefined, { headers })]
    equal([one.json()['ifNoneMatch'], other.json()['ifNoneMatch'], seen], [null, '"1"', ['"1"', ['"1"']]])
  }),

  httpCase(
    'the head is shown once before it leaves, and takes its last headers then',
    async ({ serve, key, equal }) => {
      const heads: unknown[] = []
      const looking = watched((x) => {
        x.setHeader('X-Set', ['one', 'two'])
        x.onHead((status, headers) => {
          heads.push([status, headers.filter(([name]) => name.toLowerCase() === 'x-set').map(([, value]) => value)])
          x.setHeader('X-Late', 'yes')
        })
      })
      const site = await serve([looking.route])
      const answer = await site.call(looking.route, key(), { path: '/items/1' })
      equal([answer.header('x-late'), answer.all('x-set').join(', ')], ['yes', 'one, two'])
      equal(heads.length, 1)
      equal((heads[0] as [number])[0], 201)
    },
  ),

  httpCase('the end is told once: with its status and bytes, or that the client has left', async (stage) => {
    const { serve, key, equal, ok, until } = stage
    const ends: { status: number; bytes: number; aborted: boolean }[] = []
    let last: Exchange | undefined
    let go = Promise.resolve()
    const entered = Promise.withResolvers<void>()
    const looking = watched(
      (x) => {
        last = x
        x.onEnd((end) => ends.push(end))
      },
      'POST',
      () => {
        if (ends.length > 0) entered.resolve()
        return go
      },
    )
    const site = await serve([looking.route])
    const whole = await site.call(looking.route, key(), { path: '/items/1' })
    await until('the end of an answer', () => ends.length === 1)
    equal([ends[0]!.status, ends[0]!.aborted, last!.signal.aborted], [201, false, false])
    ok(ends[0]!.bytes > whole.body.length, `${ends[0]!.bytes} bytes with the header block`)

    const held = Promise.withResolvers<void>()
    go = held.promise
    const connection = site.openCall(looking.route, key(), { path: '/items/2' })
    await entered.promise
    connection.leave()
    await until('the end of a connection', () => ends.length === 2)
    equal([ends[1]!.aborted, last!.signal.aborted], [true, true])
    // Who hangs up is still told of by his address.
    equal(isLocal(last!), true)
    held.resolve()
    await sleep(MOMENT_MS)
    equal(ends.length, 2, 'ends')
  }),
]

function isLocal({ remoteAddress }: Exchange): boolean {
  return /^(::ffff:)?127\.0\.0\.1$/.test(remoteAddress)
}

/** A route whose rule looks at the exchange; what it saw. */
function watched(
  look: (x: Exchange) => unknown,
  method = 'POST',
  onEnter: () => unknown = () => {},
): { route: TestRoute; seen: unknown[] } {
  const seen: unknown[] = []
  const key = async (x: Exchange): Promise<string | undefined> => {
    seen.push(await look(x))
    return x.header('idempotency-key')
  }
  return { route: route('json', { method, path: '/items/:id', policy: { idempotent: { key } }, onEnter }), seen }
}
