import { KernelError } from './kernel-error.ts'

/** Milliseconds as a number, or a number with its unit: `250`, `'250ms'`, `'5s'`, `'10m'`, `'24h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** What an error says of a Duration. */
export const durationAllowed = "a Duration such as 250, '250ms', '5s'"

/** Milliseconds of a Duration, or undefined when it is none. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = PATTERN.exec(value)
  if (match === null) return undefined
  const total = Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
  return Number.isFinite(total) ? total : undefined
}

/**
 * Milliseconds of a Duration.
 * @throws KernelError OPTION_INVALID that names `option` and the value.
 */
export function ms(duration: Duration, option = 'duration'): number {
  const parsed = parseDuration(duration)
  if (parsed !== undefined) return parsed
  throw new KernelError('OPTION_INVALID', `"${option}" must be ${durationAllowed} (got ${show(duration)})`)
}

/** A value as an error message shows it: short, on one line, never a whole object. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return `'${(value.length > 60 ? `${value.slice(0, 57)}...` : value).replace(/\p{Cc}/gu, escaped)}'`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`
}
