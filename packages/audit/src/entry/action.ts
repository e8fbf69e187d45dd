const ACTION = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/
const MAX_LENGTH = 128

/** What an action is, for errors. */
export const actionAllowed = "segments of A-Z a-z 0-9 _ - joined by dots, at most 128 characters: 'user.role.update'"

/** True for the name of an action. */
export function isAction(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_LENGTH && ACTION.test(value)
}

/** What the log says of itself: nobody else may, or an erasure or a gap could be made up. */
export function isOwnAction(action: string): boolean {
  return action === 'audit' || action.startsWith('audit.')
}
