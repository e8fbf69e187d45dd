import type { Cache } from '@keelson/cache'
import { isKeelsonError, isScope, type Reply } from '@keelson/kernel'
import { scopeInvalid } from '../error.ts'
import type { Captured, Exchange } from '../exchange.ts'
import type { CheckedInvalidatesRule, ResponseHead } from '../policy.ts'
import { scopeOf } from '../owner.ts'
import { asReply, withEffect } from '../replies.ts'
import type { CachingParts } from './index.ts'

/** What a write makes untrue; only when it has succeeded. */
export interface Invalidation {
  /** Settles when no node serves older data any more, or the cache owes it. Never rejects. */
  after(x: Exchange, captured: Captured): Promise<void>
  /** The same as an effect of the answer: it becomes true with the handler's rows. */
  within(x: Exchange, value: unknown): Reply
}

export function invalidation(rule: CheckedInvalidatesRule, parts: CachingParts): Invalidation {
  const { options: o, states, report } = parts

  /** @throws HttpError SCOPE_INVALID, and what the rule's own functions throw */
  function dropped(x: Exchange, head: ResponseHead): { cache: Cache; tags: readonly string[] } | undefined {
    if (head.status < 200 || head.status >= 400) return undefined
    const tags = typeof rule.tags === 'function' ? rule.tags(x, head) : rule.tags
    if (tags.length === 0) return undefined
    const scope = scopeOf(x, rule.scope, o)
    if (!isScope(scope)) throw scopeInvalid('a request that invalidates')
    return { cache: o.cache!.scope(scope), tags }
  }

  function tellBroken(x: Exchange): void {
    report(x, 'broken')
    const { method, route } = x
    const correlationId = states.of(x)?.context.correlationId
    o.logger.warn({ method, route, correlationId }, 'broken off, and so nothing is invalidated')
  }

  return {
    async after(x, captured) {
      if (captured.kind === 'abandoned') {
        // What it has written before nobody knows.
        if (captured.hasBegun !== false) tellBroken(x)
        return
      }
      const head = captured.kind === 'whole' ? captured.response : captured
      // To a handler that writes to a client which has left, its stream breaks: an answer to that is none of the write.
      if (head.status >= 500 && x.signal.aborted) return tellBroken(x)
      try {
        const found = dropped(x, head)
        await found?.cache.invalidate(...found.tags).catch(async (error: unknown) => {
          if (!isKeelsonError(error, 'TAG_INVALID')) throw error
          // No entry has a tag that is refused: the others are dropped all the same.
          report(x, 'not-invalidated', error)
          await Promise.all(found.tags.map(async (tag) => dropIfTag(found.cache, tag)))
        })
      } catch (error) {
        // What was written is written.
        report(x, 'not-invalidated', error)
      }
    },

    within(x, value) {
      const answer = asReply(value)
      const found = dropped(x, answer.response)
      return found === undefined ? answer : withEffect(answer, found.cache.drop(...found.tags))
    },
  }
}

async function dropIfTag(cache: Cache, tag: string): Promise<void> {
  try {
    await cache.invalidate(tag)
  } catch (error) {
    if (!isKeelsonError(error, 'TAG_INVALID')) throw error
  }
}
