import type { FetchHandler } from '@keelson/http'
import type { SyncLike } from '@keelson/http/apis'
import { SyncError, type Caller, type OpResult, type PullResponse } from '@keelson/sync'
import type { WireFault } from './wire-servers.ts'

const ANN: Caller = { principal: { id: 'ann' }, scope: 'everybody' }

type Json = any

/** What a device says is changed on its way in. */
const wrongPush = (wrong: (request: Json) => object): WireFault => ({
  sync: (good) => ({ push: (who, request, o) => good.push(who, { ...request, ...wrong(request) }, o) }),
})
const wrongPull = (wrong: (request: Json) => object): WireFault => ({
  sync: (good) => ({ pull: (who, request, o) => good.pull(who, { ...request, ...wrong(request) }, o) }),
})
/** Its operations are. */
const wrongOps = (wrong: (op: Json) => object): WireFault =>
  wrongPush(({ ops }) =>
    Array.isArray(ops) ? { ops: ops.map((op) => (isOp(op) ? { ...op, ...wrong(op) } : op)) } : {},
  )

/** What it is told is changed on its way out. */
const wrongResults = (wrong: (results: readonly OpResult[]) => readonly object[]): WireFault => ({
  sync: (good) => ({
    async push(...args) {
      const response = await good.push(...args)
      return { ...response, results: wrong(response.results) as OpResult[] }
    },
  }),
})
const wrongPage = (wrong: (page: PullResponse) => object): WireFault => ({
  sync: (good) => ({
    async pull(...args) {
      const page = await good.pull(...args)
      return { ...page, ...wrong(page) }
    },
  }),
})
const wrongRows = (kind: 'created' | 'updated' | 'deleted', wrong: (rows: readonly Json[]) => Json[]): WireFault =>
  wrongPage(({ changes }) => ({
    changes: Object.fromEntries(Object.entries(changes).map(([c, own]) => [c, { ...own, [kind]: wrong(own[kind]) }])),
  }))

const wrongConflicts = (wrong: (good: SyncLike['conflicts']) => Partial<SyncLike['conflicts']>): WireFault => ({
  sync: ({ conflicts }) => ({ conflicts: { ...conflicts, ...wrong(conflicts) } }),
})

/** Another answer than the API's. */
const wrongAnswer = (wrong: (response: Response, request: Request) => Response | Promise<Response>): WireFault => ({
  api: (good) => async (request, info) => wrong(await good(request, info), request),
})
const wrongStatus = (status: number, as: number): WireFault =>
  wrongAnswer((response) => (response.status === status ? copied(response, { status: as }) : response))
const wrongRequest = (wrong: (request: Request) => Request): WireFault => ({
  api:
    (good): FetchHandler =>
    (request, info) =>
      good(wrong(request), info),
})

/** Servers with one fault each, and below the case that is there for it. */
export const wireFaults: Readonly<Record<string, WireFault>> = {
  'results stand in another order': wrongResults((results) => results.toReversed()),
  'a result is missing': wrongResults((results) => results.slice(0, -1)),
  'a replay does not say so': wrongResults((results) => results.map(without('replay'))),
  'an operation counts each time': {
    sync: (good) => ({
      async push(who, request, o) {
        const names = new Map<string, string>()
        const ops = (request.ops as readonly Json[]).map((op) => {
          if (!isOp(op) || typeof op.op !== 'string' || op.op.length > 50) return op
          const name = `${op.op}${Math.random().toString(36).slice(2, 10)}`
          names.set(name, op.op)
          return { ...op, op: name }
        })
        const response = await good.push(who, { ...request, ops }, o)
        const results = response.results.map((result) => ({ ...result, op: names.get(result.op) ?? result.op }))
        return { ...response, results }
      },
    }),
  },
  'a bad operation fails them all': wrongResults((results) => {
    if (results.some(({ status }) => status === 'rejected')) throw new SyncError('REQUEST_INVALID', 'a bad operation')
    return results
  }),
  'an edit that lost is no 200': wrongAnswer(async (response) => {
    const { results = [] } = (await response.clone().json()) as { results?: OpResult[] }
    return results.some(({ status }) => status === 'conflict') ? copied(response, { status: 409 }) : response
  }),
  'what was lost is not told': wrongResults((results) => results.map(without('lost'))),
  'the record is not told': wrongResults((results) => results.map(without('rec'))),
  'why is not told': wrongResults((results) => results.map(without('detail'))),
  'the time of a device is not believed': wrongPush(() => ({ sentAt: undefined })),
  'what was seen does not count': wrongOps(() => ({ seen: undefined })),
  'strict fields are written by anybody': wrongOps(({ set }) => (set?.budget === undefined ? {} : { base: undefined })),
  'nothing waits for another': wrongOps(() => ({ dep: undefined })),
  'tags do not count': wrongOps(() => ({ s: undefined })),
  'a patch makes what is not there': wrongOps(({ t, set }) => (t === 'patch' && set?.title ? { t: 'put' } : {})),
  'unset does nothing': wrongOps(({ unset }) => (Array.isArray(unset) ? { unset: [] } : {})),
  'null is taken for nothing': wrongOps(({ set }) =>
    set?.title === null ? { set: { ...set, title: undefined } } : {},
  ),
  'everybody is ann': {
    sync: (good) => ({
      push: (_who, request, o) => good.push(ANN, request, o),
      pull: (_who, request, o) => good.pull(ANN, request, o),
    }),
  },
  'everybody sees what ann sees': { sync: (good) => ({ pull: (_who, request, o) => good.pull(ANN, request, o) }) },
  'pages are as long as it likes': wrongPull(({ limit }) =>
    Number.isInteger(limit) && limit > 0 ? { limit: 1_000 } : {},
  ),
  'a limit of 0 is taken for none': wrongPull(({ limit }) => (limit === 0 ? { limit: undefined } : {})),
  'nobody waits': wrongPull(({ waitMs }) => (waitMs > 0 ? { waitMs: 0 } : {})),
  'stamps of fields are not told': wrongPull(({ hs }) => (hs === true ? { hs: false } : {})),
  'the list of collections does not count': wrongPull(({ collections }) =>
    collections?.includes('nothing') || collections?.length === 0 ? {} : { collections: undefined },
  ),
  'each pull begins anew': wrongPull(({ cursor }) => (typeof cursor === 'string' ? { cursor: null } : {})),
  'a cursor that is none begins anew': {
    sync: (good) => ({
      async pull(who, request, o) {
        const anew = (error: unknown): Promise<PullResponse> => {
          if (!(error instanceof SyncError) || error.code !== 'CURSOR_INVALID') throw error
          return good.pull(who, { ...request, cursor: null }, o)
        }
        return good.pull(who, request, o).catch(anew)
      },
    }),
  },
  'another history is not noticed': {
    sync: (good) => ({
      async pull(who, request, o) {
        const anew = (error: unknown): Promise<PullResponse> => {
          if (!(error instanceof SyncError) || error.code !== 'EPOCH_CHANGED') throw error
          return good.pull(who, { ...request, cursor: null }, o)
        }
        return good.pull(who, request, o).catch(anew)
      },
    }),
  },
  'what was deleted is not told': wrongRows('deleted', () => []),
  'every deletion is a deletion': wrongRows('deleted', (rows) => rows.map((row) => ({ ...row, why: 'deleted' }))),
  'updates are not told': wrongRows('updated', () => []),
  'the last row of a page is lost': wrongRows('created', (rows) => rows.slice(0, -1)),
  'lost scopes are not told': wrongPage(() => ({ dropped: undefined })),
  'there is always more': wrongPage(() => ({ more: true })),
  'there is never more': wrongPage(() => ({ more: false })),
  'every pull is a delta': wrongPage(() => ({ mode: 'delta' })),
  'tags are names': wrongRows('created', (rows) => rows.map((row) => ({ ...row, s: 'team' }))),
  'any version will do': {
    sync: (good) => ({
      push: (who, request, o) => good.push(who, { ...request, v: 1 }, o),
      pull: (who, request, o) => good.pull(who, { ...request, v: 1 }, o),
    }),
  },
  'any schema will do': wrongPull(() => ({ schema: undefined })),
  'unknown members pass': {
    sync: (good) => ({
      push: (who, request, o) => good.push(who, without('force')(request) as typeof request, o),
    }),
  },
  'conflicts of all are shown': wrongConflicts((good) => ({ list: (_who, q) => good.list(ANN, q) })),
  'conflicts have one page': wrongConflicts((good) => ({
    list: async (who, q) => ({ ...(await good.list(who, q)), next: null }),
  })),
  'conflicts are decided by anybody': wrongConflicts((good) => ({
    resolve: (_who, id, decision) => good.resolve(ANN, id, decision),
  })),
  'a decision does nothing': wrongConflicts((good) => ({
    async resolve(who, id, decision) {
      const { items } = await good.list(who, { limit: 1_000 })
      return items.find((one) => one.id === id) ?? good.resolve(who, id, decision)
    },
  })),
  'every decision is theirs': wrongConflicts((good) => ({
    resolve: (who, id, decision) => good.resolve(who, id, 'take' in decision ? { take: 'theirs' } : decision),
  })),
  'a client is anybody’s': { sync: (good) => ({ status: (_who, client) => good.status(ANN, client) }) },
  'answers may be stored': wrongAnswer((response) => copied(response, { without: 'cache-control' })),
  'problems are plain JSON': wrongAnswer((response) =>
    response.ok ? response : copied(response, { headers: { 'Content-Type': 'application/json' } }),
  ),
  'answers are text': wrongAnswer((response) =>
    response.ok ? copied(response, { headers: { 'Content-Type': 'text/plain' } }) : response,
  ),
  'what is gone is a bad request': wrongStatus(410, 400),
  'what is too large is a bad request': wrongStatus(413, 400),
  'a bad request is not processable': wrongStatus(400, 422),
  'a foreign client is not known': wrongStatus(403, 404),
  'versions that are spoken are not told': wrongAnswer(async (response) => {
    if (response.ok) return response
    const problem = without('supported')((await response.clone().json()) as object)
    return new Response(JSON.stringify(problem), { status: response.status, headers: response.headers })
  }),
  'a route of one collection takes all': wrongRequest((request) => {
    const url = new URL(request.url)
    url.pathname = url.pathname.replace(/^\/note(?=\/p)/, '')
    return new Request(url, request)
  }),
  'an unknown collection is any': wrongRequest((request) => {
    const url = new URL(request.url)
    url.pathname = url.pathname.replace(/^\/nothing(?=\/p)/, '')
    return new Request(url, request)
  }),
  'nobody is ann': wrongRequest((request) => {
    const headers = new Headers(request.headers)
    if (!headers.has('authorization')) headers.set('Authorization', 'Bearer token-a')
    return new Request(request, { headers })
  }),
}

const without =
  (name: string) =>
  (given: object): object =>
    Object.fromEntries(Object.entries(given).filter(([key]) => key !== name))

const isOp = (op: unknown): op is Json => typeof op === 'object' && op !== null

function copied(
  { status, headers: given, body }: Response,
  o: { status?: number; headers?: Record<string, string>; without?: string },
): Response {
  const headers = new Headers(given)
  for (const [name, value] of Object.entries(o.headers ?? {})) headers.set(name, value)
  if (o.without !== undefined) headers.delete(o.without)
  return new Response(body, { status: o.status ?? status, headers })
}

/** The case of the suite that is there for a fault, by the name of the fault. */
export const CAUGHT_BY: Readonly<Record<string, string>> = {
  'results stand in another order':
    'a push has as many results as operations, in their order, in JSON that nobody stores',
  'a result is missing': 'a push has as many results as operations, in their order, in JSON that nobody stores',
  'a replay does not say so': 'an operation counts once, however often it is sent, and whatever its stamp is then',
  'an operation counts each time': 'an operation counts once, however often it is sent, and whatever its stamp is then',
  'a bad operation fails them all': 'one malformed operation is refused alone, with what is wrong',
  'an edit that lost is no 200': 'a patch of what is not there makes nothing, a delete of it has nothing to do',
  'what was lost is not told': 'the later write of a field wins, and the earlier one is told what it lost',
  'the record is not told': 'the later write of a field wins, and the earlier one is told what it lost',
  'why is not told': 'one malformed operation is refused alone, with what is wrong',
  'the time of a device is not believed': 'a clock that is wrong is set right, by the time that the device says',
  'what was seen does not count': 'who has seen what they overwrite wins, whatever their clock says',
  'strict fields are written by anybody':
    'a strict field is written by who read it, or the whole operation is a conflict',
  'nothing waits for another': 'what waits for another is sent again, and what waits for nothing good is refused',
  'tags do not count': 'one malformed operation is refused alone, with what is wrong',
  'a patch makes what is not there': 'a patch of what is not there makes nothing, a delete of it has nothing to do',
  'unset does nothing': 'a put merges: fields that it does not name stay; unset takes away, null is a value',
  'null is taken for nothing': 'a put merges: fields that it does not name stay; unset takes away, null is a value',
  'everybody is ann': 'each sees what is theirs, by tags that say no names',
  'everybody sees what ann sees': 'each sees what is theirs, by tags that say no names',
  'pages are as long as it likes': 'pages are as long as asked for, and together they are everything, once',
  'a limit of 0 is taken for none': 'a pull that is none is a problem that names what is wrong',
  'nobody waits': 'a pull that waits is answered at the first change, or when its time is over',
  'stamps of fields are not told': 'a record comes with the stamps of its fields for who asks, or has strict ones',
  'the list of collections does not count': 'a cursor is good for its list of collections, and for another time',
  'each pull begins anew': 'a device gets what is there, then what is new, and nothing twice',
  'a cursor that is none begins anew': 'a pull that is none is a problem that names what is wrong',
  'another history is not noticed':
    'another history of the database makes a device start over, and its edits still count once',
  'what was deleted is not told': 'a device gets what is there, then what is new, and nothing twice',
  'every deletion is a deletion': 'what moves out of sight goes, and is told under its new tag to who sees that',
  'updates are not told': 'a device gets what is there, then what is new, and nothing twice',
  'the last row of a page is lost': 'pages are as long as asked for, and together they are everything, once',
  'lost scopes are not told': 'a cursor of somebody else gives no right',
  'there is always more': 'a device gets what is there, then what is new, and nothing twice',
  'there is never more': 'pages are as long as asked for, and together they are everything, once',
  'every pull is a delta': 'a device gets what is there, then what is new, and nothing twice',
  'tags are names': 'each sees what is theirs, by tags that say no names',
  'any version will do': 'another version is refused with those that are spoken',
  'any schema will do': 'another schema makes a device start over, which keeps what it has not sent',
  'unknown members pass': 'a push that is none is a problem that names what is wrong, and does nothing',
  'conflicts of all are shown': 'a question or a decision that is none is refused, and others see nothing',
  'conflicts have one page': 'conflicts come by pages, each of them once, the oldest first',
  'conflicts are decided by anybody': 'a question or a decision that is none is refused, and others see nothing',
  'a decision does nothing': 'a decision counts once: mine, theirs, or a document',
  'every decision is theirs': 'a decision counts once: mine, theirs, or a document',
  'a client is anybody’s': 'a client is its owner’s',
  'answers may be stored': 'a push has as many results as operations, in their order, in JSON that nobody stores',
  'problems are plain JSON': 'a push that is none is a problem that names what is wrong, and does nothing',
  'answers are text': 'a push has as many results as operations, in their order, in JSON that nobody stores',
  'what is gone is a bad request': 'another schema makes a device start over, which keeps what it has not sent',
  'what is too large is a bad request': 'a body that is too large is refused with its limit, and does nothing',
  'a bad request is not processable': 'a push that is none is a problem that names what is wrong, and does nothing',
  'a foreign client is not known': 'a client is its owner’s',
  'versions that are spoken are not told': 'another version is refused with those that are spoken',
  'a route of one collection takes all': 'one collection has routes of its own, where its name may be left out',
  'an unknown collection is any': 'one collection has routes of its own, where its name may be left out',
  'nobody is ann': 'nobody is refused',
}
