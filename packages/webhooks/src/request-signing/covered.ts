import { COVERED, FIELD } from './signature-base.ts'

/** What an option with names of components takes. */
export const componentsAllowed = 'an array of header names in lower case, each once'

/** True for header names, and those that are covered anyway. */
export function areComponents(given: unknown): boolean {
  if (!Array.isArray(given) || given.length > 50 || new Set(given).size < given.length) return false
  return given.every((name: unknown) => typeof name === 'string' && (COVERED.includes(name) || isField(name)))
}

/** The names of an option behind those that are always covered. */
export function withCovered(names: readonly string[]): readonly string[] {
  return [...new Set([...COVERED, ...names])]
}

/** A signature cannot cover itself. */
function isField(name: string): boolean {
  return FIELD.test(name) && name !== 'signature' && name !== 'signature-input'
}
