import type { Case } from '@keelson/kernel/conformance'
import { createSync, memoryStore, type Op, type PullResponse, type PushResponse, type Sync } from '@keelson/sync'
import { syncApi } from '../../apis/sync-api.ts'
import { createHttp } from '../../http.ts'
import type { Answer, Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route, type Site, type Stage } from '../stage.ts'

const ANN = { principal: { id: 'ann' } }
/** Of a push, here. */
const BODY_BYTES = 2_000
const WAIT_MS = 25_000

/** Devices that meet by an API that is mounted. */
export const syncCases: readonly Case<HttpSubject>[] = [
  syncCase(
    'an operation comes once, however often it is sent, and is told to who pulls',
    async (stage, { sync, serve }) => {
      const { equal } = stage
      const site = await serve()
      const body = { v: 1, client: 'd1', ops: [op('t1'), { ...op('t2'), t: 'patch' }] }
      const sent = [await post(site, '/push', body), await post(site, '/push', body)]
      equal(
        sent.map((answer) => [answer.status, answer.header('cache-control'), resultsOf(answer)]),
        [
          [200, 'no-store', ['applied', 'gone']],
          [200, 'no-store', ['applied, again', 'gone, again']],
        ],
      )
      const rows = await sync.trace(sent[0]!.header('x-correlation-id')!)
      equal(rows.length, 2, 'operations that are known by the id of their request')
      const page = await post(site, '/task/pull', { v: 1, cursor: null })
      equal([page.status, idsOf(page)], [200, ['t1']])
      equal(resultsOf(await post(site, '/task/push', { v: 1, client: 'd1', ops: [op('t3', { c: undefined })] })), [
        'applied',
      ])
      const other = await post(site, '/task/push', { v: 1, client: 'd1', ops: [op('t4', { c: 'note' })] })
      equal([other.status, other.json()['code'], other.header('content-type')], [400, 'request-invalid', PROBLEM])
    },
  ),

  syncCase('a request that is none is a problem that names it', async ({ equal }, { serve }) => {
    const site = await serve()
    const long = await post(site, '/push', {
      v: 1,
      client: 'd1',
      ops: [op('t1', { set: { title: 'x'.repeat(BODY_BYTES) } })],
    })
    equal([long.status, long.json()['code'], long.header('content-type')], [413, 'body-too-large', PROBLEM])
    const old = await post(site, '/pull', { v: 2, cursor: null })
    equal([old.status, old.json()['code'], old.json()['supported']], [400, 'version-unsupported', [1]])
    // A parser in front may be the one that says so.
    const broken = await post(site, '/pull', '{"v":1,')
    equal([broken.status, broken.header('content-type')], [400, PROBLEM])
    const nobody = await site.send({ ...asked('/api/pull', { v: 1, cursor: null }), headers: [JSON_TYPE] })
    equal([nobody.status, nobody.json()['code']], [401, 'unauthorized'])
  }),

  syncCase('an edit that came to nothing is listed, and decided', async ({ equal }, { serve }) => {
    const site = await serve()
    await post(site, '/push', { v: 1, client: 'd1', ops: [{ ...op('t1'), t: 'patch' }] })
    const get = (path: string): Promise<Answer> => site.send({ path: `/api${path}`, headers: [AUTHORIZATION] })
    const [conflict] = (await get('/conflicts?limit=1')).json()['items'] as { id: string; code: string }[]
    equal(conflict!.code, 'gone')
    const decided = await post(site, `/conflicts/${conflict!.id}`, { take: 'mine' })
    equal([decided.status, decided.json()['record']], [200, 't1'])
    equal((await get('/conflicts')).json()['items'], [])
    equal((await get('/status/d1')).json()['pushed'], 1)
    equal((await get('/status/d2')).status, 404)
  }),

  syncCase('a pull that waits is not ended by the deadline of its request', async (stage, { sync, serve }) => {
    const { equal, until } = stage
    const site = await serve({ deadline: { default: 2 * MOMENT_MS } })
    const { cursor } = await sync.pull(ANN, { v: 1, cursor: null })
    const connection = site.open(asked('/api/pull', { v: 1, cursor, waitMs: WAIT_MS }))
    await until('it waits', () => isWaiting(sync))
    await new Promise((resolve) => setTimeout(resolve, 4 * MOMENT_MS))
    await sync.push(ANN, { v: 1, client: 'd1', ops: [op('t1') as Op] })
    const page = await connection.whole()
    equal([page.status, idsOf(page)], [200, ['t1']])
  }),

  syncCase('a pull that waits ends with its client', async ({ until }, { sync, serve }) => {
    const site = await serve()
    const { cursor } = await sync.pull(ANN, { v: 1, cursor: null })
    const connection = site.open(asked('/api/pull', { v: 1, cursor, waitMs: WAIT_MS }))
    await until('it waits', () => isWaiting(sync))
    connection.leave()
    await until('nobody waits', async () => !(await isWaiting(sync)))
  }),

  syncCase(
    'a shutdown does not wait for pulls that wait',
    async ({ equal, until }, { sync, serve }) => {
      const site = await serve()
      const { cursor } = await sync.pull(ANN, { v: 1, cursor: null })
      const connection = site.open(asked('/api/pull', { v: 1, cursor, waitMs: WAIT_MS }))
      await until('it waits', () => isWaiting(sync))
      const drained = site.served.drain!(new AbortController().signal)
      sync.drain()
      await drained
      const page = await connection.whole()
      equal([page.status, idsOf(page)], [200, []])
    },
    'shutdown',
  ),
]

const JSON_TYPE = ['Content-Type', 'application/json'] as const
const AUTHORIZATION = ['X-Device-Of', 'ann'] as const
const PROBLEM = 'application/problem+json'

let made = 0

/** Of now. */
function op(id: string, more: object = {}): object {
  const h = `${Date.now().toString(36).padStart(9, '0')}-${(++made).toString(36).padStart(4, '0')}-d1`
  return { op: `op-${made}`, c: 'task', id, t: 'put', h, set: { title: 'Call' }, ...more }
}

function asked(path: string, body: unknown): Given {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return { method: 'POST', path, headers: [JSON_TYPE, AUTHORIZATION], body: text }
}

const post = (site: Site, path: string, body: unknown): Promise<Answer> => site.send(asked(`/api${path}`, body))

/** What became of each operation, in a word. */
function resultsOf(answer: Answer): readonly string[] {
  const { results } = answer.json() as unknown as PushResponse
  return results.map(({ status, code = status, replay }) => (replay ? `${code}, again` : code))
}

/** The records that came. */
function idsOf(answer: Answer): readonly string[] {
  const { changes } = answer.json() as unknown as PullResponse
  return Object.values(changes).flatMap(({ created }) => created.map(({ id }) => id))
}

const isWaiting = async (sync: Pick<Sync, 'inspect'>): Promise<boolean> =>
  (await sync.inspect()).counts['waiters'] !== 0

interface Devices {
  readonly sync: ReturnType<typeof open>
  /** Its API, below '/api'. */
  serve(http?: object): Promise<Site>
}

function syncCase(
  name: string,
  run: (stage: Stage, devices: Devices) => Promise<void>,
  ...needs: readonly string[]
): Case<HttpSubject> {
  return httpCase(
    name,
    async (stage) => {
      if (!stage.supports('api')) return
      const sync = open(stage.tenant)
      const api = syncApi({
        http: createHttp(),
        sync,
        scope: stage.tenant,
        authorize: ({ headers }) => (headers.get('x-device-of') === 'ann' ? ANN.principal : undefined),
      })
      try {
        await run(stage, {
          sync,
          serve: (http = {}) => stage.serve([route('json'), route('api', { path: '/api', api })], { http }),
        })
      } finally {
        await sync.close()
      }
    },
    ...needs,
  )
}

function open(tenant: string) {
  const fields = { fields: { title: 'lww' }, scope: () => tenant } as const
  return createSync({
    store: memoryStore(),
    storeTimeout: '10s',
    scopes: () => [tenant],
    collections: { task: fields, note: fields },
    limits: { bodyBytes: BODY_BYTES },
  })
}
