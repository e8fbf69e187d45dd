import type { Cache, LoadContext } from '@keelson/cache'
import { isScope, responseCodec, type StoredResponse } from '@keelson/kernel'
import { scopeInvalid } from '../error.ts'
import type { Captured, Exchange, Headers } from '../exchange.ts'
import { headerValues } from '../header-values.ts'
import type { CheckedCachedRule } from '../policy.ts'
import { principalOf, scopeOf } from '../owner.ts'
import { decideStored, elementsOf } from './decide-stored.ts'
import { entryKey } from './entry-key.ts'
import type { CachingParts } from './index.ts'
import { matches } from './if-none-match.ts'
import { LEFT, Load, Loads, type Found } from './loads.ts'
import { forClient, instead, mayBe304, notModified } from './not-modified.ts'
import { createRemembered } from './remembered.ts'
import { takeIfNoneMatch } from './validate.ts'

/** Of so many entries it is known without a load whether a client's copy is still true. */
const MAX_REMEMBERED = 10_000

type Result = Found['state'] | 'fresh'
/** Awaited when the handler's answer is captured. */
type Settled = ((captured: Captured) => Promise<void>) | undefined

/** One entry, for one request. */
interface Asked {
  readonly cache: Cache
  readonly key: readonly [string, string]
  /** Of all scopes. */
  readonly id: string
  readonly ifNoneMatch: string | undefined
  /** The client has asked for a new one. */
  readonly isForced: boolean
}

/**
 * The rule `cached`: answers out of the cache, or by the handler of the first request of each key, which is the cache's
 * loader. The function that it makes resolves with undefined when this request's handler is to run.
 */
export function readThrough(
  rule: CheckedCachedRule,
  parts: CachingParts,
): (x: Exchange, settled?: Settled) => Promise<StoredResponse | undefined> {
  const { options: o, states, metrics, report, claim } = parts
  const remembered = createRemembered(MAX_REMEMBERED)
  const loads = new Loads(o.clock, (x) => report(x, 'left'))
  const isPublic = rule.scope === 'public'
  const age = rule.maxAge === undefined ? undefined : `max-age=${Math.floor(rule.maxAge / 1000)}`
  const cacheControl = isPublic ? (age === undefined ? 'no-cache' : `public, ${age}`) : `private, ${age ?? 'no-cache'}`
  const entry = {
    ttl: rule.ttl,
    ...(rule.grace === undefined ? {} : { grace: rule.grace }),
    ...(Array.isArray(rule.tags) ? { tags: rule.tags } : {}),
  }

  return async (x, settled) => {
    if (x.method !== 'GET' && x.method !== 'HEAD') return undefined
    const scope = scopeOf(x, rule.scope, o)
    if (!isScope(scope)) throw scopeInvalid('a request with a cached answer')
    const by = rule.per === 'principal' ? principalOf(x, o)?.id : undefined
    // Nobody in particular is not one person.
    if (rule.per === 'principal' && by === undefined) return passBy(x, 'bypass')
    const cache = o.cache!.scope(scope)
    const key = entryKey(x, rule, by)
    if (key === undefined) return passBy(x, 'bypass')
    const ifNoneMatch = x.header('if-none-match')
    const isForced = rule.honourNoCache && /\bno-cache\b/i.test(x.header('cache-control') ?? '')
    const asked: Asked = { cache, key, id: `${scope}\0${key[1]}`, ifNoneMatch, isForced }
    if (x.method === 'HEAD') return head(x, asked)
    claim(x)
    takeIfNoneMatch(x)
    return get(x, asked, settled)
  }

  /** Out of the entry of GET; a handler's answer to HEAD has no body to keep. */
  async function head(x: Exchange, { cache, key, ifNoneMatch, isForced }: Asked): Promise<StoredResponse | undefined> {
    const value = isForced ? undefined : await cache.get<Uint8Array>(key).catch(() => undefined)
    const stored = value === undefined ? undefined : decode(value)
    if (stored === undefined) return passBy(x, 'uri-miss')
    tell(x, 'l2')
    const answer = forClient(
      { ...stored, headers: [...dressed(stored.headers), ['Cache-Status', 'keelson; hit']] },
      ifNoneMatch,
    )
    if (answer.status === 304) return answer
    return { ...answer, headers: [...answer.headers, ['Content-Length', String(answer.body.length)]] }
  }

  async function get(x: Exchange, asked: Asked, settled: Settled): Promise<StoredResponse | undefined> {
    const { cache, key, ifNoneMatch, isForced } = asked
    if (isForced) await cache.delete(key).catch(() => {})
    else if (ifNoneMatch !== undefined && (await isStillTrue(asked))) {
      tell(x, 'fresh')
      return notModified([...remembered.get(asked.id)!.headers, ['Cache-Status', 'keelson; hit']])
    }
    return lookUp(x, asked, settled)
  }

  async function lookUp(x: Exchange, asked: Asked, settled: Settled): Promise<StoredResponse | undefined> {
    const { cache, key, id } = asked
    const mine = new Load()
    const turn = Promise.withResolvers<Load>()
    const stopWaiting = loads.wait(id, x, turn.resolve)
    const load = (ctx: LoadContext<unknown>): Promise<Uint8Array | undefined> => {
      stopWaiting()
      mine.ctx = ctx
      turn.resolve(mine)
      return mine.kept.promise
    }
    mine.outcome = cache.lookup<Uint8Array | undefined>(key, load, entry)
    const whatElse = (error: unknown): unknown => (error === LEFT ? LEFT : undefined)
    const first = (await Promise.race([turn.promise, mine.outcome.catch(whatElse)])) as Load | Found | Error | undefined
    stopWaiting()
    // Also for a load that begins later, to refresh the entry before its time: this handler does not run for it.
    if (first !== mine) mine.kept.resolve(undefined)
    if (first instanceof Load) return keepAnswer(x, asked, first, settled)
    if (first === undefined) return passBy(x, 'bypass')
    if (first instanceof Error) return lookUp(x, asked, settled)
    const answer = answerOf(asked, first, hitStatus(first))
    // The answer that this request has waited for is not for others.
    if (answer === undefined) return passBy(x, 'uri-miss')
    tell(x, first.state)
    return answer
  }

  async function isStillTrue({ cache, key, id, ifNoneMatch }: Asked): Promise<boolean> {
    const known = remembered.get(id)
    if (known === undefined || !matches(ifNoneMatch, headerValues(known.headers, 'etag')[0])) return false
    return cache.fresh(key, known.version).catch(() => false)
  }

  /** The handler runs, and its answer is the load's value. */
  function keepAnswer(x: Exchange, asked: Asked, load: Load, settled: Settled): undefined {
    const { ctx, kept, outcome } = load
    const fwd = asked.isForced ? 'request' : ctx.previous === undefined ? 'uri-miss' : 'stale'
    let status = `keelson; fwd=${fwd}`
    let stored: Headers | undefined
    x.onHead((_, lines) => {
      for (const [name, value] of stored === undefined ? [] : ownLines(lines, stored)) x.setHeader(name, value)
      x.setHeader('Cache-Status', status)
    })
    const run = loads.run(asked.id, x, load)

    x.capture({ maxBytes: rule.maxBytes, hold: 'all' }, async (captured) => {
      await settled?.(captured)
      const decision = decideStored(captured, { ...rule, correlationHeader: o.correlation.header })
      if (decision.kind !== 'store' && decision.why !== 'status') report(x, decision.why)
      if (decision.kind === 'failed') {
        run.fail(new Error(`no answer to keep: ${decision.why}`))
        const found = await outcome.catch(() => undefined)
        tell(x, found?.state ?? 'loaded')
        return found?.state === 'stale' ? answerOf(asked, found, 'keelson; fwd=stale') : undefined
      }
      if (decision.kind === 'store') stored = decision.response.headers
      const isFirst = run.end()
      if (isFirst && decision.kind === 'store') return store(decision.response)
      kept.resolve(undefined)
      tell(x, 'loaded')
      // The framework would have compared the handler's own validator.
      return instead(decision.kind === 'store' ? decision.response : decision.head, asked.ifNoneMatch)
    })

    async function store(response: StoredResponse): Promise<StoredResponse | undefined> {
      try {
        if (typeof rule.tags === 'function') ctx.tag(...rule.tags(x, response))
        kept.resolve(responseCodec.encode(response))
        const { state, version } = await outcome
        if (state === 'bypass') status = 'keelson; fwd=bypass'
        else if (version !== '') status += '; stored'
        tell(x, state)
        if (version !== '' && mayBe304(response))
          remembered.keep(asked.id, { version, headers: dressed(response.headers) })
      } catch (error) {
        kept.reject(error)
        report(x, 'failed', error)
      }
      const headers: Headers = [...dressed(response.headers), ['Cache-Status', status]]
      return instead({ ...response, headers }, asked.ifNoneMatch)
    }
  }

  /** What the cache has, as it is given again; undefined for nothing. */
  function answerOf({ id, ifNoneMatch }: Asked, found: Found, status: string): StoredResponse | undefined {
    const stored = found.value === undefined ? undefined : decode(found.value)
    if (stored === undefined) return undefined
    const headers = dressed(stored.headers)
    const isFresh = found.version !== '' && found.state !== 'stale'
    if (isFresh && mayBe304(stored)) remembered.keep(id, { version: found.version, headers })
    const ageS = String(Math.floor(found.age / 1000))
    return forClient({ ...stored, headers: [...headers, ['Age', ageS], ['Cache-Status', status]] }, ifNoneMatch)
  }

  /** The stored headers with those of the rule. */
  function dressed(headers: Headers): Headers {
    const own = ownLines(headers, [])
    const names = new Set(own.map(([name]) => name.toLowerCase()))
    return [...headers.filter(([name]) => !names.has(name.toLowerCase())), ...own]
  }

  /** What the rule adds to an answer that has these lines, of which `more` are missing yet. */
  function ownLines(lines: Headers, more: Headers): Headers {
    const vary = headerValues(lines, 'vary')
    const known = elementsOf(lines, 'vary')
    const missing = rule.vary.filter((name) => !known.includes(name.toLowerCase()))
    return [
      ...more.filter(([name, value]) => name === 'ETag' && headerValues(lines, 'etag')[0] !== value),
      ...(missing.length === 0 ? [] : [['Vary', [...vary, ...missing].join(', ')] as const]),
      ...(headerValues(lines, 'cache-control').length === 0 ? [['Cache-Control', cacheControl] as const] : []),
    ]
  }

  /** The handler answers, and nothing is kept. */
  function passBy(x: Exchange, fwd: 'bypass' | 'uri-miss'): undefined {
    x.onHead(() => x.setHeader('Cache-Status', `keelson; fwd=${fwd}`))
    return tell(x, fwd === 'bypass' ? 'bypass' : 'loaded')
  }

  function tell(x: Exchange, result: Result): undefined {
    const label = RESULT[result]
    metrics.cache.inc({ route: x.route, result: label })
    const state = states.of(x)
    if (state !== undefined) state.cache = label
  }
}

const RESULT = {
  l1: 'hit',
  l2: 'hit',
  fresh: 'fresh',
  stale: 'stale',
  joined: 'joined',
  loaded: 'miss',
  bypass: 'bypass',
} as const satisfies Record<Result, string>

/** RFC 9211, of an answer that another request's handler has made. */
function hitStatus({ state, ttl }: Found): string {
  if (state === 'joined') return 'keelson; fwd=uri-miss; collapsed'
  if (state === 'bypass') return 'keelson; fwd=bypass; collapsed'
  if (state === 'stale') return 'keelson; fwd=stale'
  return `keelson; hit; ttl=${Math.floor(ttl / 1000)}`
}

/** Undefined for what another version has stored. */
function decode(bytes: Uint8Array): StoredResponse | undefined {
  try {
    return responseCodec.decode(bytes)
  } catch {
    return undefined
  }
}
