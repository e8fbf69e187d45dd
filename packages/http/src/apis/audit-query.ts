import type { Query } from '@keelson/audit'
import { datesOf, invalid } from './query-of.ts'

/** By what a log is searched. */
export const QUERY = ['actor', 'action', 'target', 'outcome', 'from', 'to', 'order'] as const

type Given = { readonly [name in (typeof QUERY)[number]]?: string }

/** A query as people write it. The core says what is wrong with the others. @throws HttpProblem 400 'input-invalid' */
export function queryFrom({ actor, target, ...rest }: Given): Omit<Query, 'scope'> {
  return {
    ...datesOf(rest),
    ...(actor === undefined ? {} : { actor: partyOf('actor', actor) }),
    ...(target === undefined ? {} : { target: partyOf('target', target) }),
  }
}

/** 'user:u_17', or 'user' for all of them: a type has no colon, an id may. */
function partyOf(name: string, text: string): { type: string; id?: string } {
  const [, type, id] = /^([^:]+)(?::([\s\S]+))?$/.exec(text) ?? []
  if (type === undefined) throw invalid(`"${name}" must be a type, or a type and an id: 'user:u_17'`)
  return { type, ...(id === undefined ? {} : { id }) }
}
