import type { Sink } from '../sink.ts'

/** A sink wants this entry. */
export function isFor(
  { only }: Pick<Sink, 'only'>,
  entry: { readonly scope: string; readonly action: string },
): boolean {
  const { scopes, actions } = only ?? {}
  return (
    (scopes === undefined || scopes.includes(entry.scope)) &&
    (actions === undefined || actions.some((action) => isAction(action, entry.action)))
  )
}

/** Exactly this one, or 'user.*' for all that begin so. */
function isAction(pattern: string, action: string): boolean {
  return pattern.endsWith('.*') ? action.startsWith(pattern.slice(0, -1)) : pattern === action
}
