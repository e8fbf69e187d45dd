import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAudit, memoryStore as memoryLog, type Audit } from '@keelson/audit'
import { createCache, memoryStore as memoryCache, type Caches, type CacheStore } from '@keelson/cache'
import {
  createIdempotency,
  memoryStore,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
  type RecordView,
  type Settlement,
} from '@keelson/idempotency'
import { responseCodec, type Logger, type StoredResponse } from '@keelson/kernel'
import type { Case, Tools } from '@keelson/kernel/conformance'
import type { Exchange } from '../exchange.ts'
import { createHttp, type Http } from '../http.ts'
import type { AuditLike, CachesLike, HttpOptions } from '../options.ts'
import { open, type Answer, type Connection, type Given } from './client.ts'
import type { HttpSubject, Kind, PlanRoute, Served } from './http-subject.ts'

/** Bytes of a body that are kept. */
const MAX_STORED_BYTES = 65_536
/** In which what was promised has happened, on any machine. */
const PATIENCE_MS = 10_000
/** In which what must not happen would have happened. */
export const MOMENT_MS = 25

/** A route of a plan, and how often its handler has run. */
export interface TestRoute extends PlanRoute {
  runs: number
}

/** What happens at the store. */
interface WatchedStore {
  /** Awaited before an end reaches the store. */
  beforeSettle: (as: Settlement) => unknown
  /** Another run of the key has come first, with this answer: the end of ours is lost. */
  winner: StoredResponse | undefined
  /** Awaited before a claim reaches the store. */
  beforeBegin: () => unknown
  begins: number
  /** Ends that the store has acknowledged. */
  readonly ends: Settlement['kind'][]
  /** The answers that the store has given back. */
  readonly given: StoredResponse[]
  /** Awaited before an invalidation reaches the cache. */
  beforeInvalidate: () => unknown
  /** Awaited before an entry reaches the audit log. */
  beforeRecord: () => unknown
}

/** A log line. */
interface Line {
  readonly level: keyof Logger
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A plan that is served. */
export interface Site {
  readonly url: string
  readonly http: Http
  readonly served: Served
  readonly watched: WatchedStore
  readonly caches: Caches
  readonly audit: Audit
  readonly log: readonly Line[]
  open(given?: Given): Connection
  send(given?: Given): Promise<Answer>
  /** A request with an idempotency key, by the route's method to the route's path. */
  call(route: PlanRoute, key: string | undefined, more?: Given): Promise<Answer>
  /** The same, while it is under way. */
  openCall(route: PlanRoute, key: string | undefined, more?: Given): Connection
  /** What the store knows of a key; null for nothing. */
  find(route: PlanRoute, key: string, scope?: string): Promise<RecordView | null>
  close(): Promise<void>
}

/** What a case changes of its http and of the core behind it. */
interface SiteOptions {
  readonly http?: HttpOptions
  readonly core?: Partial<IdempotencyOptions>
  /** Sites over one store are nodes of one application. */
  readonly nodes?: CacheStore
}

/** What a case works with. */
export interface Stage extends Tools {
  readonly subject: HttpSubject
  /** The tenant of all requests without a header 'x-tenant'; nobody else has it. */
  readonly tenant: string
  /** Serves routes, on an http of their own. */
  serve(routes: readonly PlanRoute[], o?: SiteOptions): Promise<Site>
  /** A key that nobody has used. */
  key(): string
  /** Waits until `isSo`, with `what` to say if that never comes. */
  until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void>
  /** Whether the subject has these kinds; prints the reason for one that it has not. */
  supports(...kinds: readonly Kind[]): boolean
}

/** A case on a stage, which is cleared behind it. */
export function httpCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<HttpSubject> {
  return {
    name,
    ...(needs.length === 0 ? {} : { needs }),
    async run(subject, tools) {
      const sites: Site[] = []
      try {
        await run(stageOf(subject, tools, sites))
      } finally {
        for (const site of sites) await site.close()
      }
    },
  }
}

/** A route; 'POST /<kind>' unless it is said otherwise. `onEnter` runs in the handler. */
export function route(
  kind: Kind,
  more: Partial<Omit<PlanRoute, 'enter' | 'kind'>> & { onEnter?: () => unknown } = {},
): TestRoute {
  const { onEnter, ...rest } = more
  const made: TestRoute = {
    method: kind === 'head' ? 'GET' : 'POST',
    path: `/${kind}`,
    kind,
    pieces: () => threePieces(),
    ...rest,
    runs: 0,
    async enter() {
      made.runs++
      await onEnter?.()
    },
  }
  return made
}

async function* threePieces(): AsyncGenerator<string> {
  for (const piece of ['one', 'two', 'three']) {
    yield piece
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function stageOf(subject: HttpSubject, tools: Tools, sites: Site[]): Stage {
  const tenant = `t-${randomUUID().slice(0, 8)}`
  return {
    ...tools,
    subject,
    tenant,
    async serve(routes, o = {}) {
      const site = await serve(subject, tenant, routes, o)
      sites.push(site)
      return site
    },
    key: () => randomUUID(),
    async until(what, isSo) {
      for (let waitedMs = 0; !(await isSo()); waitedMs += 5) {
        tools.ok(waitedMs < PATIENCE_MS, `it never comes: ${what}`)
        await sleep(5)
      }
    },
    supports: (...kinds) => kinds.every((kind) => isSupported(subject, kind)),
  }
}

function isSupported({ name, unsupported = {} }: HttpSubject, kind: Kind): boolean {
  const reason = unsupported[kind]
  if (reason === undefined) return true
  console.info(`${name}: not run with '${kind}': ${reason}`)
  return false
}

async function serve(
  subject: HttpSubject,
  tenant: string,
  routes: readonly PlanRoute[],
  o: SiteOptions,
): Promise<Site> {
  const watched = {
    beforeSettle: () => {},
    beforeBegin: () => {},
    winner: undefined,
    begins: 0,
    ends: [],
    given: [],
    beforeInvalidate: () => {},
    beforeRecord: () => {},
  } as WatchedStore
  const core: Idempotency = createIdempotency({
    store: watching(subject.store ?? memoryStore(), watched),
    // No machine stands still that long.
    storeTimeout: '10s',
    lease: '1h',
    wait: '1m',
    ...o.core,
  })
  const log: Line[] = []
  // As many nodes as a case likes, and no chance.
  const caches = createCache({
    name: tenant,
    store: o.nodes ?? subject.cache ?? memoryCache(),
    storeTimeout: '10s',
    jitter: 0,
    early: 0,
  })
  await caches.start()
  const audit = createAudit({ store: memoryLog(), storeTimeout: '10s' })
  const http = createHttp({
    idempotency: core,
    cache: watchingCache(caches, watched),
    audit: watchingAudit(audit, watched),
    scope: (x) => x.header('x-tenant') ?? tenant,
    principal: (x) => principalOf(subject, x),
    logger: recording(log),
    maxStoredBytes: MAX_STORED_BYTES,
    ...o.http,
  })
  const served = await subject.start(routes, http)
  const openCall: Site['openCall'] = (route, key, more = {}) => {
    const { path } = route
    const method = askedBy(route)
    const keyed = key === undefined ? [] : [['Idempotency-Key', key] as const]
    return open(served.url, { method, path, ...more, headers: [...keyed, ...(more.headers ?? [])] })
  }
  return {
    url: served.url,
    http,
    served,
    watched,
    caches,
    audit,
    log,
    open: (given) => open(served.url, given),
    send: (given) => open(served.url, given).whole(),
    openCall,
    call: (one, key, more) => openCall(one, key, more).whole(),
    find: (one, key, scope = tenant) => core.find({ scope, op: `${askedBy(one)} ${one.path}`, key }),
    async close() {
      await served.close()
      await http.close()
      await core.stop({ drain: 0 })
      await caches.close()
      await audit.close()
    },
  }
}

/** A policy on a route for HEAD alone is refused: frameworks answer it by their route for GET. */
function askedBy({ kind, method }: PlanRoute): string {
  return kind === 'head' ? 'HEAD' : method
}

function principalOf(subject: HttpSubject, x: Exchange): { id: string } | undefined {
  const id = subject.user(x)
  return id === undefined ? undefined : { id }
}

function watching(store: IdempotencyStore, watched: WatchedStore): IdempotencyStore {
  return {
    ...store,
    async begin(...args) {
      watched.begins++
      await watched.beforeBegin()
      const begin = await store.begin(...args)
      if (begin.kind === 'done') watched.given.push(responseCodec.decode(begin.bytes))
      return begin
    },
    async settle(...args) {
      const [ref, own, as, retainMs] = args
      await watched.beforeSettle(as)
      if (watched.winner !== undefined) {
        await store.settle(ref, own, { kind: 'done', bytes: responseCodec.encode(watched.winner) }, retainMs)
        return 'lost'
      }
      const settled = await store.settle(...args)
      watched.ends.push(as.kind)
      return settled
    },
  }
}

function watchingCache(caches: Caches, watched: WatchedStore): CachesLike {
  return {
    scope(name) {
      const cache = caches.scope(name)
      return {
        ...cache,
        async invalidate(...tags) {
          await watched.beforeInvalidate()
          return cache.invalidate(...tags)
        },
      }
    },
  }
}

function watchingAudit(audit: Audit, watched: WatchedStore): AuditLike {
  return {
    entry: audit.entry,
    async record(...args) {
      await watched.beforeRecord()
      return audit.record(...args)
    },
  }
}

function recording(log: Line[]): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: object, message: string): void =>
      void log.push({ level, message, fields: { ...fields } })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** The lines of requests that began, or of those that ended. */
export function linesOf(log: readonly Line[], what: 'began' | 'ended'): readonly Line[] {
  return log.filter(({ message }) => message === `request ${what}`)
}

/** The lines of an answer that do not belong to one connection, moment or request. */
export function ownLines({ lines }: Answer): (readonly [string, string])[] {
  return lines.filter(([name]) => !PASSING.test(name))
}
const PASSING =
  /^(date|connection|keep-alive|transfer-encoding|content-length|x-correlation-id|traceparent|x-response-time)$/i
