import type { Headers } from './exchange.ts'

/** The values of the lines under a lower-case name, in order. */
export function headerValues(headers: Headers, name: string): string[] {
  return headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)
}
