/** A value as an error message shows it: short, never a whole object. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 60)}'`
  if (typeof value === 'object') return value === null ? 'null' : 'an object'
  if (typeof value === 'symbol') return value.toString()
  return typeof value === 'function' ? 'a function' : `${value as number}`
}
