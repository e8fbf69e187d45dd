import type { Actor, By } from './audit.ts'
import { inputFailure, shown } from './input.ts'

/** A principal without a type is a user. @throws AuditError INPUT_INVALID */
export function actorOf(owner: string, by: By): Actor {
  if (typeof by !== 'object' || by === null) {
    throw inputFailure(`${owner}: "by" must be an actor or a principal (got ${shown(by)})`)
  }
  const { type = 'user', ...rest } = by
  return { type, ...rest }
}
