import { isReply, reply, type Effect, type Reply } from '@keelson/kernel'

/** What a transactional handler returns: its answer, or a value that becomes {@link ok}. */
export type Answer<T> = T | Reply<T> | Promise<T | Reply<T>>

type Headers = readonly (readonly [string, string])[]

/** 200 with a body. */
export function ok<T>(body: T, effects?: readonly Effect[], headers?: Headers): Reply<T> {
  return reply(200, body, effects, headers)
}

/** 201 with a body; give Location in `headers`. */
export function created<T>(body: T, effects?: readonly Effect[], headers?: Headers): Reply<T> {
  return reply(201, body, effects, headers)
}

/** 204. */
export function noContent(effects?: readonly Effect[]): Reply<undefined> {
  return reply(204, undefined, effects)
}

/** The same answer with one effect more. */
export function withEffect({ response, effects }: Reply, effect: Effect): Reply {
  const { status, headers, body } = response
  return reply(status, body.length === 0 ? undefined : body, [...effects, effect], headers)
}

/** What a handler returned, as an answer. */
export function asReply(value: unknown): Reply {
  return isReply(value) ? value : ok(value)
}
