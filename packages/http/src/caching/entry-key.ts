import { builtin } from '../builtin.ts'
import type { Exchange } from '../exchange.ts'
import type { CheckedCachedRule } from '../policy.ts'

/** In front of all keys of answers: `prefix('http')` of the cache is all of them in a scope. */
const AREA = 'http'

/**
 * Where an answer is kept: route, path, the query in the order of its names, what the rule varies by, and whose it is.
 * GET and HEAD share it.
 */
export function entryKey(
  x: Exchange,
  { query, vary }: Pick<CheckedCachedRule, 'query' | 'vary'>,
  by: string | undefined,
): readonly [string, string] {
  const asked = new URLSearchParams(x.searchParams)
  asked.sort()
  const parts = [
    x.route,
    x.path,
    [...asked].filter(([name]) => query?.includes(name) ?? true),
    vary.map((name) => x.header(name) ?? null),
    by ?? null,
  ]
  // Paths are as long as clients like, keys are not.
  return [AREA, builtin.crypto.hash('sha256', JSON.stringify(parts), 'base64url')]
}
