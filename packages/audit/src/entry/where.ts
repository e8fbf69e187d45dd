import { isIP } from 'node:net'
import { entryFailure, kindOf } from './failure.ts'
import { isPersonal } from './personal.ts'
import { textMember, type TextPlace } from './text-member.ts'
import type { Draft } from './writing.ts'

const IP: TextPlace = { field: 'where.ip', pointer: '/source/ip' }
const USER_AGENT: TextPlace = { field: 'where.userAgent', pointer: '/user_agent/original' }
const REQUEST_ID: TextPlace = { field: 'where.requestId', pointer: '/http/request/id' }
const METHOD: TextPlace = { field: 'where.method', pointer: '/http/request/method' }
const ROUTE: TextPlace = { field: 'where.route', pointer: '/http/route' }
const SESSION: TextPlace = { field: 'where.session', pointer: '/http/session' }

/** From where it was done: `,"source":…,"user_agent":…,"http":…`, those that are there. @throws AuditError ENTRY_INVALID */
export function whereText(where: Readonly<Record<string, unknown>>, draft: Draft): string {
  let all = ''
  const ip = ipText(where['ip'], draft)
  if (ip !== undefined) all += `,"source":{"ip":${ip}}`
  const userAgent = textMember(where['userAgent'], USER_AGENT, draft)
  if (userAgent !== undefined) all += `,"user_agent":{"original":${userAgent}}`
  const id = textMember(where['requestId'], REQUEST_ID, draft)
  const method = textMember(where['method'], METHOD, draft)
  const route = textMember(where['route'], ROUTE, draft)
  const session = textMember(where['session'], SESSION, draft)
  const request = members(member('id', id) + member('method', method))
  const http = members(member('request', request) + member('route', route) + member('session', session))
  return all + member('http', http)
}

/** `,"name":text`, or nothing. */
export function member(name: string, text: string | undefined): string {
  return text === undefined ? '' : `,"${name}":${text}`
}

function members(all: string): string | undefined {
  return all === '' ? undefined : `{${all.slice(1)}}`
}

/** Absent when redacted: an index has addresses there and refuses other texts. */
function ipText(given: unknown, draft: Draft): string | undefined {
  if (given === undefined) return undefined
  const value = typeof given === 'object' && given !== null && isPersonal(given) ? given.value : given
  // A zone (fe80::1%eth0) means something on one machine only.
  if (typeof value !== 'string' || isIP(value) === 0 || value.includes('%')) {
    throw entryFailure(`"${IP.field}" must be an IPv4 or IPv6 address (got ${kindOf(value)})`)
  }
  const text = textMember(given, IP, draft)
  return draft.rules.paths?.has(IP.pointer) === true ? undefined : text
}
