import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createHttp, type FetchHandler } from '@keelson/http'
import { syncApi, type SyncApiOptions, type SyncLike } from '@keelson/http/apis'
import { context } from '@keelson/kernel'
import { SyncError, type SyncErrorCode } from '@keelson/sync'
import { recordingLogger } from '../support.ts'
import type { Answer } from './call.ts'
import { askAs, op, openSync } from './sync-at-work.ts'

let sync: ReturnType<typeof openSync>
let logger: ReturnType<typeof recordingLogger>
let ask: ReturnType<typeof askAs>

beforeEach(() => {
  logger = recordingLogger()
  use(openSync())
})
afterEach(() => sync.close())

function use(one: typeof sync): void {
  sync = one
  ask = askAs(apiWith({ sync }))
}

function apiWith(more: Partial<SyncApiOptions> = {}): FetchHandler {
  return syncApi({
    http: createHttp({ logger }),
    sync,
    scope: 'acme',
    authorize: ({ headers }) => {
      const id = /^Bearer (\w+)$/.exec(headers.get('authorization') ?? '')?.[1]
      return id === undefined ? undefined : { id }
    },
    ...more,
  })
}

const push = (client: string, ...ops: readonly unknown[]): object => ({ v: 1, client, ops })
const pull = (cursor: string | null = null, more: object = {}): object => ({ v: 1, cursor, ...more })
const refused = ({ status, body }: Answer): unknown[] => [status, body.code]

describe('push and pull', () => {
  test('take what a device did, once, and tell another; no answer may be stored', async () => {
    const given = push('d1', op('t1'), op('t2'))
    const first = await ask('ann', '/push', given)
    expect([first.status, first.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(first.body.results).toMatchObject([{ status: 'applied' }, { status: 'applied' }])
    const again = await ask('ann', '/push', given)
    expect(again.body.results).toEqual(first.body.results.map((result: object) => ({ ...result, replay: true })))
    const page = await ask('bob', '/pull', pull())
    expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(page.body).toMatchObject({ v: 1, mode: 'snapshot', more: false })
    expect(page.body.changes.task.created.map(({ id }: { id: string }) => id)).toEqual(['t1', 't2'])
    expect(JSON.stringify(page.body)).not.toContain('acme')
  })

  test('of one collection leave its name out, and say no other', async () => {
    const { c: _, ...bare } = op('t1')
    expect((await ask('ann', '/task/push', push('d1', bare))).body.results).toMatchObject([{ status: 'applied' }])
    await ask('ann', '/push', push('d1', { ...op('n1'), c: 'note', set: { text: 'a' } }))
    expect(Object.keys((await ask('ann', '/task/pull', pull())).body.changes)).toEqual(['task'])
    expect(refused(await ask('ann', '/note/push', push('d1', op('t2'))))).toEqual([400, 'request-invalid'])
    const other = pull(null, { collections: ['task'] })
    expect(refused(await ask('ann', '/note/pull', other))).toEqual([400, 'request-invalid'])
    for (const path of ['/nothing/push', '/nothing/pull', '/toString/pull', '/%00/push']) {
      expect(refused(await ask('ann', path, path.endsWith('push') ? push('d1') : pull()))).toEqual([404, 'not-found'])
    }
  })

  test('are for callers of one tenant, whoever they say they are', async () => {
    const seen: unknown[] = []
    await using other = openSync({ scopes: (who) => (seen.push(who), ['rival']) })
    const api = askAs(apiWith({ sync: other, scope: (_, principal) => `of ${principal?.id}` }))
    await api('ann', '/push', push('d1', op('t1')))
    expect(seen).toEqual([{ principal: { id: 'ann' }, scope: 'of ann' }])
    expect(refused(await api('', '/push', push('d1')))).toEqual([401, 'unauthorized'])
    expect(refused(await ask('bob', '/pull', pull()))).toEqual([200, undefined])
    const nobody = askAs(apiWith({ scope: () => undefined }))
    expect(refused(await nobody('ann', '/pull', pull()))).toEqual([500, 'scope-invalid'])
  })

  test('refuse what is no request, with what is wrong about it', async () => {
    const version = await ask('ann', '/push', { v: 2, client: 'd1', ops: [] })
    expect(refused(version)).toEqual([400, 'version-unsupported'])
    expect(version.body).toMatchObject({ supported: [1], detail: expect.stringContaining('"v"'), retryable: false })
    for (const [path, body, detail] of [
      ['/push', '{"v":1,', 'JSON'],
      ['/push', '[1]', 'JSON'],
      ['/push', { v: 1, client: 'd1', ops: {} }, '"ops"'],
      ['/push', { v: 1, client: '', ops: [] }, '"client"'],
      ['/pull', '', undefined],
      ['/pull', 'null', 'JSON'],
      ['/pull', pull(null, { limit: 0 }), '"limit"'],
      ['/pull', pull(null, { waitMs: -1 }), '"waitMs"'],
      ['/pull', { v: 1 }, '"cursor"'],
    ] as const) {
      const answer = await ask('ann', path, body)
      if (detail === undefined) expect(answer.status).toBe(400)
      else {
        expect(refused(answer)).toEqual([400, 'request-invalid'])
        expect(answer.body.detail).toContain(detail)
      }
    }
    const form = await ask('ann', '/push', 'a=1', { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } })
    expect(refused(form)).toEqual([415, 'unsupported-media-type'])
    expect(refused(await ask('ann', '/pull', pull("' or true --")))).toEqual([400, 'cursor-invalid'])
    const { cursor } = (await ask('ann', '/task/pull', pull())).body
    expect(refused(await ask('ann', '/pull', pull(cursor)))).toEqual([400, 'cursor-invalid'])
    expect(logger.errors).toEqual([])
  })

  test('take as many bytes as sync does', async () => {
    use(openSync({ limits: { bodyBytes: 2_000 } }))
    const note = (text: string): object => push('d1', { ...op('n1'), c: 'note', set: { text } })
    const spare = 2_000 - JSON.stringify(note('')).length
    expect((await ask('ann', '/push', note('x'.repeat(spare)))).status).toBe(200)
    const long = await ask('ann', '/push', note('x'.repeat(spare + 1)))
    expect(refused(long)).toEqual([413, 'body-too-large'])
    expect(long.body.detail).toContain('2000 bytes')
    // More than other APIs take.
    use(openSync({ limits: { recordBytes: 1_048_576 } }))
    expect((await ask('ann', '/push', note('x'.repeat(600_000)))).body.results).toMatchObject([{ status: 'applied' }])
    expect(refused(await ask('ann', '/push', note('x'.repeat(1_100_000))))).toEqual([413, 'body-too-large'])
  })

  test.each<[SyncErrorCode, number, string | null]>([
    ['CURSOR_EXPIRED', 410, null],
    ['EPOCH_CHANGED', 410, null],
    ['SCHEMA_CHANGED', 410, null],
    ['CLIENT_FOREIGN', 403, null],
    ['LIMIT_REACHED', 429, '3'],
    ['STORE_UNAVAILABLE', 503, '3'],
    ['REPLICA_READ', 503, '3'],
    ['CLOSED', 503, '3'],
    ['SCOPE_INVALID', 500, '3'],
    ['INPUT_INVALID', 500, '3'],
    ['PULL_IN_WRITING_TX', 500, '3'],
  ])('a pull that ends with %s is %i', async (code, status, retryAfter) => {
    const broken: SyncLike = {
      ...sync,
      async pull() {
        throw new SyncError(code, 'table sync_record', retryAfter === null ? {} : { retryAfter: 2_500 })
      },
    }
    const answer = await askAs(apiWith({ sync: broken }))('ann', '/pull', pull())
    expect(refused(answer)).toEqual([status, code.toLowerCase().replaceAll('_', '-')])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('retry-after')).toBe(retryAfter)
    expect(answer.text.includes('sync_record')).toBe(status < 500)
    expect(logger.errors).toHaveLength(status < 500 ? 0 : 1)
  })
})

describe('a pull that waits', () => {
  /** It is waiting when this resolves. */
  async function waiting(cursor: string, init: RequestInit = {}): Promise<{ readonly over: Promise<Answer> }> {
    const over = ask('bob', '/pull', pull(cursor, { waitMs: 25_000 }), init)
    await waiters(1)
    return { over }
  }
  const waiters = (n: number): Promise<void> =>
    expect.poll(async () => (await sync.inspect()).counts['waiters'], { timeout: 20_000 }).toBe(n)
  const cursorNow = async (): Promise<string> => (await ask('bob', '/pull', pull())).body.cursor

  test('is answered at the first change', async () => {
    const { over } = await waiting(await cursorNow())
    await ask('ann', '/push', push('d1', op('t1')))
    expect((await over).body.changes.task.created).toMatchObject([{ id: 't1' }])
  })

  test('ends with its client, and with a shutdown', async () => {
    const cursor = await cursorNow()
    const client = new AbortController()
    const left = await waiting(cursor, { signal: client.signal })
    client.abort()
    await waiters(0)
    await left.over
    const drained = await waiting(cursor)
    sync.drain()
    expect((await drained.over).body).toMatchObject({ changes: {}, more: false, cursor: expect.any(String) })
    expect((await ask('bob', '/pull', pull(cursor, { waitMs: 25_000 }))).body.changes).toEqual({})
  })

  test('is not ended by the deadline of its request, and keeps its ids', async () => {
    const seen: unknown[] = []
    const all: SyncLike = sync
    const looking: SyncLike = {
      ...sync,
      async pull(...args) {
        seen.push([context.remaining(), context.get()?.correlationId, context.get()?.principal])
        return all.pull(...args)
      },
    }
    const api = askAs(apiWith({ sync: looking }))
    const cursor = await cursorNow()
    const asked = (more: object): Promise<Answer> =>
      context.run({ deadline: 0, correlationId: 'c-1' }, () => api('bob', '/pull', pull(cursor, more)))
    await asked({ waitMs: 1 })
    await asked({ waitMs: 0 })
    expect(seen).toEqual([
      [Infinity, 'c-1', { id: 'bob' }],
      [0, 'c-1', { id: 'bob' }],
    ])
  })
})

describe('conflicts', () => {
  /** An edit of a record that is gone. */
  const conflict = async (id: string): Promise<string> => {
    const edit = op(id, 'patch', { set: { title: 'mine', team: '1' } })
    return (await ask('ann', '/push', push('d1', edit))).body.results[0].conflict
  }

  test('are listed by pages, without names of scopes, and decided once', async () => {
    const ids = []
    for (const id of ['t1', 't2', 't3']) ids.push(await conflict(id))
    const first = await ask('ann', '/conflicts?limit=2')
    expect(first.status).toBe(200)
    const rest = await ask('ann', `/conflicts?limit=2&status=open&after=${first.body.next}`)
    const items = [...first.body.items, ...rest.body.items]
    expect([items.map(({ id }) => id), rest.body.next]).toEqual([ids, null])
    const s = expect.stringMatching(/^[\w-]{11}$/)
    expect(items[0]).toMatchObject({ c: 'task', record: 't1', code: 'gone', s, principal: 'ann', current: null })
    expect(new Date(items[0].at).toISOString()).toBe(items[0].at)
    expect(first.text).not.toContain('acme')

    const decided = await ask('ann', `/conflicts/${ids[0]}`, { take: 'mine' })
    expect([decided.status, decided.body]).toEqual([200, items[0]])
    expect((await ask('ann', `/conflicts/${ids[0]}`, { take: 'mine' })).status).toBe(200)
    const doc = { team: '1', title: 'whole' }
    expect((await ask('ann', `/conflicts/${ids[1]}`, { doc })).status).toBe(200)
    expect((await ask('ann', '/conflicts')).body.items.map(({ id }: { id: string }) => id)).toEqual([ids[2]])
    expect((await ask('ann', '/conflicts?status=resolved')).body.items).toHaveLength(2)
    const docs = (await ask('ann', '/pull', pull())).body.changes.task.created.map((rec: { doc: object }) => rec.doc)
    expect(docs).toEqual([{ title: 'mine', team: '1' }, doc])
  })

  test('are not there for others, and take no decision that is none', async () => {
    const id = await conflict('t1')
    for (const body of [{}, { take: 'both' }, { take: 'mine', doc: {} }, { doc: 7 }, { doc: { color: 1 } }, '{']) {
      expect([body, ...refused(await ask('ann', `/conflicts/${id}`, body))]).toEqual([body, 400, 'input-invalid'])
    }
    const other = await ask('ann', `/conflicts/${id}`, { take: 'mine', by: 'bob' })
    expect([other.status, other.body.detail]).toEqual([400, expect.stringContaining('"by"')])
    for (const name of ['nothing', '%00', 'x'.repeat(65)]) {
      expect(refused(await ask('ann', `/conflicts/${name}`, { take: 'mine' }))).toEqual([404, 'not-found'])
    }
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=-1', 'status=both', 'who=ann', 'limit=1&limit=2']) {
      expect([query, ...refused(await ask('ann', `/conflicts?${query}`))]).toEqual([query, 400, 'input-invalid'])
    }
    expect(refused(await ask('ann', '/conflicts?after=x'))).toEqual([400, 'cursor-invalid'])
    const rival = askAs(apiWith({ scope: 'rival' }))
    expect((await rival('ann', '/conflicts')).body.items).toEqual([])
    expect(refused(await rival('ann', `/conflicts/${id}`, { take: 'theirs' }))).toEqual([404, 'not-found'])
  })
})

test('a client’s status is for its owner, whatever the client is called', async () => {
  for (const client of ['d1', 'pull', 'push']) {
    await ask('ann', '/push', { ...push(client, op(client)), sentAt: Date.now() })
    const state = await ask('ann', `/status/${client}`)
    expect(state.body).toMatchObject({ client, principal: 'ann', pushed: 1, openConflicts: 0 })
    expect(refused(await ask('bob', `/status/${client}`))).toEqual([404, 'not-found'])
  }
  expect(refused(await ask('ann', '/status/%00'))).toEqual([404, 'not-found'])
})

test('what is asked by another method, or elsewhere, is not there', async () => {
  for (const path of ['/push', '/pull', '/task/push', '/conflicts/x']) {
    const { status, headers } = await ask('ann', path)
    expect([path, status, headers.get('allow')]).toEqual([path, 405, 'POST'])
  }
  expect((await ask('ann', '/conflicts', {})).headers.get('allow')).toBe('GET, HEAD')
  expect(refused(await ask('ann', '/digest', {}))).toEqual([404, 'not-found'])
})

test('nobody’s edits are refused at the start, and what is no sync', () => {
  const options = { http: createHttp(), sync, scope: 'acme', authorize: () => ({ id: 'ann' }) }
  for (const [wrong, name] of [
    [{ authorize: 'public' }, '"authorize"'],
    [{ scope: '' }, '"scope"'],
    [{ sync: {} }, '"sync"'],
    [{ http: {} }, '"http"'],
    [{ limit: 1 }, '"limit"'],
  ] as const) {
    expect(() => syncApi({ ...options, ...wrong } as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(name) }),
    )
  }
})
