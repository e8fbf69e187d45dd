import { promises as dns } from 'node:dns'
import { DialError, dialFailure } from './dial-error.ts'
import type { ResolveHost } from './options.ts'

type Answers = Awaited<ReturnType<ResolveHost>>

/**
 * Asks the DNS servers over sockets of its own. `dns.lookup` would take one of Node's four threads, and names whose
 * servers do not answer would hold all of them: a few hung tenants would stop the others, and their files with them.
 */
export function createResolver(): ResolveHost {
  const resolver = new dns.Resolver({ timeout: 2_000, tries: 2 })
  return async (host) => {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    const found: Answers = [
      ...(v4.status === 'fulfilled' ? v4.value.map((address) => ({ address, family: 4 as const })) : []),
      ...(v6.status === 'fulfilled' ? v6.value.map((address) => ({ address, family: 6 as const })) : []),
    ]
    if (found.length === 0 && v4.status === 'rejected') throw v4.reason
    return found
  }
}

/** How long a question is shared. One that nobody ever answers must not stand for its name. */
const SHARED_MS = 1_000

/**
 * Callers that ask for one name at the same time share its answer: a burst to one host is one question.
 * The returned function rejects with a DialError of step 'dns'.
 */
export function sharedResolver(resolve: ResolveHost): ResolveHost {
  const asked = new Map<string, { readonly answer: Promise<Answers>; readonly atMs: number }>()
  return (host) => {
    const shared = asked.get(host)
    if (shared !== undefined && performance.now() - shared.atMs < SHARED_MS) return shared.answer
    const fresh = {
      answer: ask(resolve, host).finally(() => asked.get(host) === fresh && asked.delete(host)),
      atMs: performance.now(),
    }
    asked.set(host, fresh)
    return fresh.answer
  }
}

async function ask(resolve: ResolveHost, host: string): Promise<Answers> {
  try {
    const answers = await resolve(host)
    if (answers.length > 0) return answers
  } catch (cause) {
    throw dialFailure('dns', cause)
  }
  throw new DialError('dns', 'ENOTFOUND')
}
