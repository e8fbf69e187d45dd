import { builtin } from '../builtin.ts'
import type { Exchange } from '../exchange.ts'
import type { CheckedCachedRule } from '../policy.ts'

/** In front of all keys of answers: `prefix('http')` of the cache is all of them in a scope. */
const AREA = 'http'

/**
 * Where an answer is kept: route, path, the query in the order of its names, what the rule varies by, and whose it is.
 * GET and HEAD share it. Undefined when the query is no UTF-8: parsers of frameworks read it in ways of their own.
 */
export function entryKey(
  x: Exchange,
  { query, vary }: Pick<CheckedCachedRule, 'query' | 'vary'>,
  by: string | undefined,
): readonly [string, string] | undefined {
  const asked = [...x.searchParams]
  if (asked.some((pair) => pair.some((text) => text.includes(NO_TEXT)))) return undefined
  const parts = [
    x.route,
    x.path,
    asked
      .filter(([name]) => query?.includes(wordOf(name)) ?? true)
      .toSorted(([a], [b]) => (wordOf(a) < wordOf(b) ? -1 : wordOf(a) > wordOf(b) ? 1 : 0)),
    vary.map((name) => x.header(name) ?? null),
    by ?? null,
  ]
  // Paths are as long as clients like, keys are not.
  return [AREA, builtin.crypto.hash('sha256', JSON.stringify(parts), 'base64url')]
}

/** What bytes that are no UTF-8 become, all the same. */
const NO_TEXT = '\uFFFD'

/** Some parsers make members of `page[size]` and `page[]`: to a handler all of them are `page`, in their order. */
function wordOf(name: string): string {
  const bracket = name.indexOf('[', 1)
  return bracket === -1 ? name : name.slice(0, bracket)
}
