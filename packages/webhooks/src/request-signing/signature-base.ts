import { header } from '../verify/header.ts'
import type { VerifyHeaders } from '../verify/verifier.ts'
import type { RequestTarget } from './request-target.ts'

/** What every signature of this profile covers, in this order. */
export const COVERED: readonly string[] = ['@method', '@authority', '@path', '@query', 'content-digest']

/** Names of header fields, as components have them. */
export const FIELD: RegExp = /^[a-z0-9!#$%&'*+.^_`|~-]+$/

/** The parts of a request that components are taken from. */
export interface Components {
  readonly method: string | undefined
  readonly target: RequestTarget | undefined
  readonly headers: VerifyHeaders
}

/** The value of a component (RFC 9421, 2.1 and 2.2); undefined when the request has none. */
export function componentOf(name: string, { method, target, headers }: Components): string | undefined {
  switch (name) {
    case '@method':
      return method
    case '@authority':
      return target?.authority
    case '@path':
      return target?.path
    case '@query':
      return target?.query
    default:
      return header(headers, name)?.replaceAll(/^[ \t]+|[ \t]+$/g, '')
  }
}

/** Bytes that HTTP carries in one line: a line break would begin a component of its own. */
export function isOneLine(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
}

/** What is signed (RFC 9421, 2.5). */
export function signatureBase(components: readonly (readonly [name: string, value: string])[], params: string): string {
  return [...components, ['@signature-params', params] as const]
    .map(([name, value]) => `"${name}": ${value}`)
    .join('\n')
}
