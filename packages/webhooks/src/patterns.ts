const SEGMENT = /^[A-Za-z0-9_-]+$/
const MAX_LENGTH = 128

/** What an event's type is, for errors. */
export const typeAllowed = 'segments of A-Z a-z 0-9 _ - joined by dots, at most 128 characters'
export const patternAllowed: string = `${typeAllowed}; a segment may be '*' and the last one '**'`

/** True for the type of an event. */
export function isEventType(value: unknown): value is string {
  return isDotted(value) && value.split('.').every((segment) => SEGMENT.test(segment))
}

/** True for a pattern of types. */
export function isTypePattern(value: unknown): value is string {
  if (!isDotted(value)) return false
  const segments = value.split('.')
  return segments.every((segment, i) => {
    return SEGMENT.test(segment) || segment === '*' || (segment === '**' && i === segments.length - 1)
  })
}

/** Whether a type is what a pattern says; `*` is one segment, `**` one or more. */
export function matchesType(pattern: string, type: string): boolean {
  if (pattern === '**' || pattern === type) return true
  const wanted = pattern.split('.')
  const given = type.split('.')
  const open = wanted.at(-1) === '**'
  if (open ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, i) => segment === '*' || segment === '**' || segment === given[i])
}

function isDotted(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_LENGTH
}
