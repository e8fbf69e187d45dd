import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '@keelson/cache'
import type { Case } from '@keelson/kernel/conformance'
import type { CachedRule } from '../../policy.ts'
import { keepAlive, type Answer, type Given } from '../client.ts'
import type { HttpSubject, Kind } from '../http-subject.ts'
import { sample } from '../sample.ts'
import { httpCase, linesOf, MOMENT_MS, ownLines, route, type Stage, type TestRoute } from '../stage.ts'

/** Redirects of some frameworks are negotiated. */
const rule: CachedRule = {
  ttl: '10m',
  per: 'scope',
  statuses: [200, 201, 202, 204, 303],
  vary: ['Accept'],
  maxBytes: 65_536,
}
const policy = { cached: rule }

/** Answers that may be kept. */
const kinds: readonly Kind[] = [
  'json',
  'text',
  'buffer',
  'empty',
  'no-content',
  'stream',
  'slow-stream',
  'length-then-late-end',
  'web-response',
  'web-stream',
  'file',
  'write-head-object',
  'write-head-array',
  'latin1',
  'redirect',
]
/** Answers that may not, with the status. */
const others: readonly Kind[] = ['two-cookies', 'throw', 'throw-4xx', 'sse', 'large']

function get(kind: Kind, more: Partial<TestRoute> & { onEnter?: () => unknown } = {}): TestRoute {
  return route(kind, { method: 'GET', policy, ...more })
}

const status = (answer: Answer): string | undefined => answer.header('cache-status')
const has = (etag: string | undefined): Given => ({ headers: [['If-None-Match', etag ?? '']] })
const as = (user: string): Given => ({ headers: [['Authorization', `Bearer ${user}`]] })

/** Answers of reads that are given again. */
export const cachedCases: readonly Case<HttpSubject>[] = [
  ...kinds.map((kind) =>
    httpCase(`${kind}: is cached byte for byte, and a 304 for who has it`, async (stage) => {
      if (stage.supports(kind)) await isCached(stage, kind)
    }),
  ),

  ...others.map((kind) =>
    httpCase(`${kind}: passes, and is not cached`, async (stage) => {
      if (stage.supports(kind)) await passes(stage, kind)
    }),
  ),

  httpCase('what middleware has set in front for one user, the next one does not get', async (stage) => {
    const { supports, serve, equal } = stage
    for (const kind of (['json', 'text', 'stream', 'redirect'] as const).filter((one) => supports(one))) {
      const [plain, cached] = [route(kind, { method: 'GET', path: '/bare' }), get(kind, { path: '/kept' })]
      const site = await serve([plain, cached])
      for (const user of ['ann', 'bob', 'eve']) {
        const given = inFrontOf(user)
        const bare = await site.call(plain, undefined, given)
        const answer = await site.call(cached, undefined, given)
        equal(answer.header('x-user'), user)
        equal(ownHeaders(answer), ownHeaders(bare), `${kind} for ${user}`)
        if (kind === 'redirect') continue
        // Of what is kept, and of the answer that its handler has just made.
        for (const path of ['/kept', `/kept?${user}`]) {
          const same = await site.call(cached, undefined, { ...withTag(given, answer), path })
          equal([same.status, same.header('x-user'), same.all('set-cookie')], [304, user, [`seen=${user}`]])
        }
      }
      equal(cached.runs, kind === 'redirect' ? 1 : 4)
    }
  }),

  httpCase('a Vary counts, whoever has set it', async ({ supports, serve, equal }) => {
    if (!supports('text')) return
    const text = get('text')
    const site = await serve([text])
    const front = (vary: string): Given => ({ headers: [['X-In-Front', JSON.stringify([['Vary', vary]])]] })
    for (let i = 0; i < 2; i++) {
      equal(status(await site.call(text, undefined, front('Accept-Language'))), 'keelson; fwd=uri-miss')
    }
    for (let i = 0; i < 2; i++) {
      const answer = await site.call(text, undefined, front('Origin'))
      const varies = answer.all('vary').join(',').toLowerCase().split(/ *, */)
      equal(varies.toSorted(), ['accept', 'origin'])
    }
    equal(text.runs, 3)
  }),

  httpCase('HEAD is answered out of the entry of GET, and fills none', async (stage) => {
    const { supports, serve, equal } = stage
    if (!supports('buffer')) return
    const read = get('buffer')
    const site = await serve([read])
    const head: Given = { method: 'HEAD' }
    const before = await site.call(read, undefined, head)
    equal([before.status, before.body.length, status(before)], [200, 0, 'keelson; fwd=uri-miss'])
    const first = await site.call(read, undefined)
    equal([Buffer.compare(first.body, sample.bytes), status(first)], [0, 'keelson; fwd=uri-miss; stored'])
    equal(read.runs, 2)
    const again = await site.call(read, undefined, head)
    const { length } = sample.bytes
    equal([again.status, again.body.length, again.header('content-length')], [200, 0, String(length)])
    equal([again.header('etag'), status(again)], [first.header('etag'), 'keelson; hit'])
    const same = await site.call(read, undefined, { ...head, ...has(first.header('etag')) })
    equal([same.status, read.runs], [304, 2])
  }),

  httpCase('a key is path and query, in whatever order', async ({ serve, equal }) => {
    const all = get('text', { path: '/all/:id' })
    const some = get('text', { path: '/some', policy: { cached: { ...rule, query: ['page'] } } })
    const site = await serve([all, some])
    const run = async (one: TestRoute, path: string): Promise<number> => {
      const before = one.runs
      await site.call(one, undefined, { path })
      return one.runs - before
    }
    equal(await run(all, '/all/1?a=1&b=2&b=1'), 1)
    equal(await run(all, '/all/1?b=2&a=1&b=1'), 0)
    for (const path of ['/all/1?a=1&b=1&b=2', '/all/1?a=1', '/all/1', '/all/2', '/all/1?a=1%26b%3D2&b=1']) {
      equal(await run(all, path), 1, path)
    }
    equal([await run(some, '/some?page=1&utm=a'), await run(some, '/some?utm=b&page=1')], [1, 0])
    equal(await run(some, '/some?page=2'), 1)
  }),

  httpCase('an answer varies by what its rule names', async ({ serve, equal }) => {
    const text = get('text', { policy: { cached: { ...rule, vary: ['X-Version'] } } })
    const site = await serve([text])
    const by = (version: string): Given => ({ headers: [['X-Version', version]] })
    for (const given of [by('1'), by('2'), by('1'), {}, by('2')]) {
      const answer = await site.call(text, undefined, given)
      equal(answer.all('vary').join(', ').toLowerCase().includes('x-version'), true)
    }
    equal(text.runs, 3)
  }),

  httpCase('two users of one tenant never see each other’s answers', async (stage) => {
    const { supports, serve, equal, together } = stage
    if (!supports('echo-context')) return
    const own = get('echo-context', { policy: { cached: { ...rule, per: 'principal' } }, onEnter: () => sleep(5) })
    const site = await serve([own])
    const users = ['ann', 'bob', 'ann', 'bob', 'eve']
    const userOf = (answer: Answer): unknown => (answer.json()['seen'] as unknown[][])[0]![2]
    for (let round = 0; round < 2; round++) {
      const answers = await together(users.length, (i) => site.call(own, undefined, as(users[i]!)))
      equal(answers.map(userOf), users)
    }
    equal(own.runs, 3)
    const [ann, bob] = [await site.call(own, undefined, as('ann')), await site.call(own, undefined, as('bob'))]
    equal((await site.call(own, undefined, withTag(as('bob'), ann))).status, 200, 'the validator of another’s answer')
    equal((await site.call(own, undefined, withTag(as('bob'), bob))).status, 304)
    // Nobody is not one person.
    const nobody = [await site.call(own, undefined), await site.call(own, undefined)]
    equal([nobody.map(userOf), nobody.map(status), own.runs], [[null, null], Array(2).fill('keelson; fwd=bypass'), 5])
  }),

  httpCase('two tenants never see each other’s answers', async ({ supports, serve, equal }) => {
    if (!supports('echo-context')) return
    const own = get('echo-context')
    const site = await serve([own])
    const tenantOf = (answer: Answer): unknown => (answer.json()['seen'] as unknown[][])[0]![1]
    for (const tenant of ['one', 'two', 'one']) {
      equal(tenantOf(await site.call(own, undefined, { headers: [['X-Tenant', tenant]] })), tenant)
    }
    equal(own.runs, 2)
  }),

  httpCase('of fifty at once one runs, and one beside it when its client leaves', async (stage) => {
    const { serve, equal, together, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const text = get('text', {
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([text])
    const first = site.openCall(text, undefined)
    await entered.promise
    const joined = together(49, () => site.call(text, undefined))
    await until('all have come', () => linesOf(site.log, 'began').length === 50)
    first.leave()
    await until('one has left', () => linesOf(site.log, 'ended').length === 1)
    go.resolve()
    const answers = await joined
    equal(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)), new Set([`200 ${sample.text}`]))
    equal(new Set(answers.map((answer) => answer.header('x-correlation-id'))).size, 49, 'each has an id of its own')
    equal(text.runs, 2)
    equal((await site.call(text, undefined)).header('x-correlation-id') === undefined, false)
    equal(text.runs, 2)
  }),

  httpCase('a handler goes on when its client leaves, and its answer is kept', async (stage) => {
    const { serve, equal, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const text = get('text', {
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([text])
    const first = site.openCall(text, undefined)
    await entered.promise
    first.leave()
    await until('it has left', () => linesOf(site.log, 'ended').length === 1)
    go.resolve()
    await until('it is kept', async () => (await site.caches.inspect()).loads.running === 0)
    const again = await site.call(text, undefined)
    equal([again.body.toString(), status(again)?.startsWith('keelson; hit'), text.runs], [sample.text, true, 1])
  }),

  httpCase(
    'who waits for a handler that gives up with its client is answered by another one, at once',
    async (stage) => {
      const { serve, equal, together, until } = stage
      const entered = Promise.withResolvers<void>()
      const text = get('text', {
        onEnter() {
          entered.resolve()
          return text.runs === 1 ? new Promise(() => {}) : undefined
        },
      })
      const site = await serve([text])
      const first = site.openCall(text, undefined)
      await entered.promise
      const joined = together(20, () => site.call(text, undefined))
      await until('all have come', () => linesOf(site.log, 'began').length === 21)
      first.leave()
      equal(new Set((await joined).map(({ body }) => body.toString())), new Set([sample.text]))
      // After a time limit all of them would have run.
      equal(text.runs, 2)
      equal((await site.call(text, undefined)).body.toString(), sample.text)
      equal(text.runs, 2)
    },
  ),

  httpCase('who waits for an answer that is not for others gets an own one', async (stage) => {
    const { supports, serve, equal, together, until } = stage
    const unshared = (['two-cookies', 'throw-4xx', 'throw'] as const).filter((kind) => supports(kind))
    for (const kind of unshared) {
      const go = Promise.withResolvers<void>()
      const one = get(kind, { onEnter: () => go.promise })
      const site = await serve([one])
      const all = together(10, () => site.call(one, undefined))
      await until('all have come', () => linesOf(site.log, 'began').length === 10)
      await sleep(MOMENT_MS)
      equal(one.runs, 1)
      go.resolve()
      await all
      equal(one.runs, 10)
    }
  }),

  httpCase('a client that has the first answer already gets a 304 instead of it', async (stage) => {
    const { supports, serve, equal } = stage
    const read = (['text', 'stream', 'slow-stream'] as const).filter((kind) => supports(kind)).map((kind) => get(kind))
    const site = await serve(read)
    for (const one of read) {
      const { headers } = has((await site.call(one, undefined)).header('etag'))
      const other = await site.call(one, undefined, { path: `${one.path}?other`, headers: headers! })
      equal([other.status, other.body.length, one.runs], [304, 0, 2], one.kind)
    }
  }),

  httpCase('the framework does not see what the client has', async ({ supports, serve, equal }) => {
    if (!supports('echo-context')) return
    const headers = [
      ['If-None-Match', '"other"'],
      ['If-Modified-Since', 'Fri, 01 Jan 2100 00:00:00 GMT'],
    ] as const
    for (const rules of [policy, { etag: 'weak' } as const]) {
      const echo = get('echo-context', { policy: rules })
      const site = await serve([echo])
      const answer = await site.call(echo, undefined, { headers })
      equal([answer.status, answer.json()['ifNoneMatch']], [200, null])
    }
  }),

  httpCase('etag alone: the handler runs each time, and who has its answer gets a 304', async (stage) => {
    const { supports, serve, equal } = stage
    const read = (['text', 'buffer', 'stream', 'slow-stream', 'web-stream'] as const).filter((kind) => supports(kind))
    for (const kind of read) {
      const one = get(kind, { policy: { etag: 'weak' } })
      const site = await serve([one, get(kind, { path: '/bare', policy: {} })])
      const bare = await site.send({ path: '/bare' })
      const first = await site.call(one, undefined)
      equal([first.status, Buffer.compare(first.body, bare.body), status(first)], [200, 0, undefined])
      const etag = first.header('etag')
      equal(etag?.startsWith('W/"'), true, etag)
      const again = await site.call(one, undefined, has(etag))
      equal([again.status, again.body.length, again.header('etag'), one.runs], [304, 0, etag, 2])
      equal((await site.call(one, undefined, has('"other"'))).status, 200)
    }
  }),

  httpCase('an answer that is too large to keep is a 304 for who has it by its own validator', async (stage) => {
    const { supports, serve, equal, until } = stage
    let ends = 0
    const pieces = async function* (): AsyncGenerator<string> {
      for (let i = 0; i < 20; i++) yield 'x'.repeat(20_000)
      ends++
    }
    const own = (etag: string): Given => ({
      headers: [
        ['X-In-Front', JSON.stringify([['ETag', '"v1"']])],
        ['If-None-Match', etag],
      ],
    })
    // A web Response need not take what was set in front of it.
    for (const kind of (['large', 'stream', 'slow-stream'] as const).filter((one) => supports(one))) {
      for (const rules of [policy, { etag: 'weak' } as const]) {
        const one = get(kind, { policy: rules, pieces })
        const site = await serve([one])
        const other = await site.call(one, undefined, own('"v0"'))
        equal(
          [other.status, other.body.length, other.header('etag')],
          [200, kind === 'large' ? 200_000 : 400_000, '"v1"'],
        )
        const same = await site.call(one, undefined, own('W/"v1"'))
        equal([same.status, same.body.length, same.header('etag'), one.runs], [304, 0, '"v1"', 2], kind)
        await until('what it is made of is read to its end', () => kind === 'large' || ends === 2)
        ends = 0
      }
    }
  }),

  httpCase('a 304 in place of a handler’s answer takes its cookies along', async ({ supports, serve, equal }) => {
    if (!supports('two-cookies')) return
    const cookies = sample.cookies.flatMap(([name, value]) => (name === 'Set-Cookie' ? [value] : []))
    const one = get('two-cookies', { policy: { etag: 'weak' } })
    const site = await serve([one])
    const first = await site.call(one, undefined)
    const same = await site.call(one, undefined, has(first.header('etag')))
    equal([same.status, same.body.length, same.all('set-cookie'), one.runs], [304, 0, cookies, 2])
  }),

  httpCase('a connection goes on behind hits, 304 and HEAD', async ({ supports, serve, equal }) => {
    if (!supports('buffer')) return
    const buffer = get('buffer')
    const site = await serve([buffer])
    const line = keepAlive(site.url)
    const { path } = buffer
    const first = await line.send({ path })
    const statuses = [first.status]
    for (let i = 0; i < 3; i++) {
      const again = await line.send({ path })
      const same = await line.send({ path, ...has(first.header('etag')) })
      statuses.push(again.status, again.body.length, same.status)
    }
    line.close()
    const { length } = sample.bytes
    equal(statuses, [200, 200, length, 304, 200, length, 304, 200, length, 304])
    equal(buffer.runs, 1)
  }),

  httpCase('two nodes: what one has cached the other gives, until it is invalidated', async ({ serve, equal }) => {
    const nodes = memoryStore()
    const [mine, other] = [get('text'), get('text', { policy: { cached: { ...rule, tags: ['texts'] } } })]
    const [one, two] = [await serve([mine], { nodes }), await serve([other], { nodes })]
    const { caches } = two
    const first = await two.call(other, undefined)
    equal([(await one.call(mine, undefined)).body.toString(), mine.runs, other.runs], [sample.text, 0, 1])
    const { headers } = has(first.header('etag'))
    equal((await one.call(mine, undefined, { headers: headers! })).status, 304)
    await caches.scope(await tenantOf(one)).invalidate('texts')
    equal((await one.call(mine, undefined, { headers: headers! })).status, 304, 'of the same bytes, made anew')
    equal([mine.runs, other.runs], [1, 1])
  }),

  httpCase('a request’s reads of caches are counted, in it alone', async (stage) => {
    const { serve, equal, together, until, tenant } = stage
    const cached = get('text')
    const reads = [0, 1, 7].map((count) =>
      route('json', {
        path: `/reads-${count}`,
        policy: {},
        async onEnter() {
          const cache = site.caches.scope(tenant)
          for (let i = 0; i < count; i++) await cache.getOrSet(`read-${count}-${i % 2}`, async () => i)
        },
      }),
    )
    const site = await serve([cached, ...reads])
    await site.call(cached, undefined)
    const etag = (await site.call(cached, undefined)).header('etag')
    await site.call(cached, undefined, has(etag))
    for (const one of reads) await site.call(one, undefined)
    await together(30, (i) => site.call(reads[i % 3]!, undefined))
    await until('the end of each request', () => linesOf(site.log, 'ended').length === 36)
    const ended = linesOf(site.log, 'ended').map(({ fields }) => {
      const { cacheHits, cacheMisses } = fields['counters'] as { cacheHits: number; cacheMisses: number }
      return [fields['path'], cacheHits, cacheMisses, fields['cache']].join(' ')
    })
    equal(ended.slice(0, 3), ['/text 0 1 miss', '/text 1 0 hit', '/text 1 0 fresh'])
    equal(ended.slice(3, 6), ['/reads-0 0 0 ', '/reads-1 0 1 ', '/reads-7 5 2 '])
    equal(new Set(ended.slice(6)), new Set(['/reads-0 0 0 ', '/reads-1 1 0 ', '/reads-7 7 0 ']))
  }),
]

/** What is its own answer's, without what the rule adds. */
function ownHeaders({ lines }: Answer): unknown {
  const ADDED = /^(etag|cache-control|vary|cache-status|age)$/i
  return ownLines({ lines } as Answer)
    .filter(([name]) => !ADDED.test(name))
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** A request of a user to whom middleware has something to say. */
function inFrontOf(user: string): Given {
  const lines = [
    ['X-User', user],
    ['Content-Security-Policy', `script-src 'nonce-${user}'`],
    ['Set-Cookie', `seen=${user}`],
    // A redirect has its own.
    ['Location', `/${user}`],
    ['Vary', 'Origin'],
  ]
  return { headers: [['X-In-Front', JSON.stringify(lines)]] }
}

function withTag({ headers = [] }: Given, answer: Answer): Given {
  return { headers: [...headers, ['If-None-Match', answer.header('etag') ?? '']] }
}

async function isCached(stage: Stage, kind: Kind): Promise<void> {
  const { serve, equal, ok } = stage
  const [plain, cached] = [route(kind, { method: 'GET', path: '/bare' }), get(kind, { path: '/kept' })]
  const site = await serve([plain, cached])
  const bare = await site.call(plain, undefined)
  const first = await site.call(cached, undefined)
  equal([first.status, Buffer.compare(first.body, bare.body)], [bare.status, 0], 'the first answer')
  equal(ownHeaders(first), ownHeaders(bare), 'its headers')
  equal(status(first), 'keelson; fwd=uri-miss; stored')
  const again = await site.call(cached, undefined)
  equal([again.status, Buffer.compare(again.body, bare.body), cached.runs], [bare.status, 0, 1], 'the second answer')
  equal(ownHeaders(again), ownHeaders(bare), 'headers of the second')
  const etag = again.header('etag')
  ok(etag !== undefined && etag === first.header('etag'), `ETag: ${etag}`)
  equal(
    again.all('cache-control'),
    bare.header('cache-control') === undefined ? ['private, no-cache'] : bare.all('cache-control'),
  )
  ok(/^keelson; hit; ttl=(600|59\d)$/.test(status(again) ?? ''), status(again))
  ok(/^\d+$/.test(again.header('age') ?? ''), 'Age')
  const same = await site.call(cached, undefined, has(`"x", ${etag}`))
  // RFC 9110, section 13.2.1: what is no success has no precondition.
  if (bare.status >= 300) return equal([same.status, Buffer.compare(same.body, bare.body)], [bare.status, 0])
  equal([same.status, same.body.length, same.header('content-type')], [304, 0, undefined])
  equal([same.header('etag'), same.all('cache-control'), cached.runs], [etag, again.all('cache-control'), 1])
  ok(same.header('x-correlation-id') !== undefined, 'the ids of this request')
  equal((await site.call(cached, undefined, has('"other"'))).status, bare.status)
  equal(cached.runs, 1)
}

async function passes({ serve, equal }: Stage, kind: Kind): Promise<void> {
  const [plain, cached] = [route(kind, { method: 'GET', path: '/bare' }), get(kind, { path: '/kept' })]
  const site = await serve([plain, cached])
  const bare = await site.call(plain, undefined)
  for (let run = 1; run <= 2; run++) {
    const answer = await site.call(cached, undefined)
    equal([answer.status, cached.runs, status(answer)], [bare.status, run, 'keelson; fwd=uri-miss'])
    if (bare.status < 400) equal(Buffer.compare(answer.body, bare.body), 0)
    equal(answer.all('set-cookie'), bare.all('set-cookie'))
  }
}

/** Under which its answers are kept. */
async function tenantOf({ log }: { log: readonly { fields: Readonly<Record<string, unknown>> }[] }): Promise<string> {
  return log.map(({ fields }) => fields['scope']).find((scope) => typeof scope === 'string') as string
}
