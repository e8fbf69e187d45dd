import type { Facts } from '../store.ts'
import { isAction } from './action.ts'
import { isSealed, refsOf } from './sealed.ts'
import { skipText, skipValue } from './skip-json.ts'

/*
 * A recogniser of exactly what the maker of entries writes: its members in its order, and in between JSON by its whole
 * grammar, so that no byte is passed over. What it does not know is parsed instead, which takes several times as long:
 * this runs for each entry that is sealed.
 */

const TIME = String.raw`(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z)`
const HEAD = new RegExp(
  String.raw`\{"@timestamp":"${TIME}","ecs":\{"version":"[0-9.]+"\},"event":\{"id":"[0-9a-f-]{36}","kind":"event"`,
  'y',
)
const ACTION = /,"action":"([A-Za-z0-9_.-]+)","outcome":"(success|failure|unknown)"/y
const NOT_ASCII_OR_ESCAPED = /[\\\x80-\xff]/

/** Between actor and `audit`, in this order; their values say nothing that is searched. */
const BETWEEN = [',"source":', ',"user_agent":', ',"http":', ',"trace":', ',"service":', ',"host":']

/** Of bytes that are UTF-8; undefined if they are not as the maker writes them. */
export function scanFacts(bytes: Uint8Array): Facts | undefined {
  const text = Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length)
  const head = matched(HEAD, text, 0)
  if (head === null) return undefined
  let at = skipMember(text, HEAD.lastIndex, ',"category":')
  at = skipMember(text, at, ',"type":')
  const event = matched(ACTION, text, at)
  if (event === null || !isAction(event[1])) return undefined
  at = skipMember(text, ACTION.lastIndex, ',"reason":')

  const scopeAt = behind(text, at, '},"organization":{"id":')
  const scopeEnd = skipText(text, scopeAt)
  const actorAt = behind(text, scopeEnd, '},"user":{"id":')
  const actorEnd = skipText(text, actorAt)
  at = skipMember(text, actorEnd, ',"name":')
  at = behind(text, skipMember(text, at, ',"roles":'), '}')
  for (const name of BETWEEN) at = skipMember(text, at, name)

  const typeAt = behind(text, at, ',"audit":{"v":1,"actor_type":')
  const typeEnd = skipText(text, typeAt)
  const targetTypeAt = behind(text, typeEnd, ',"target":{"type":')
  const targetTypeEnd = targetTypeAt === -1 ? typeEnd : skipText(text, targetTypeAt)
  const targetAt = targetTypeAt === -1 ? -1 : behind(text, targetTypeEnd, ',"id":')
  const targetEnd = skipText(text, targetAt)
  at = targetTypeAt === -1 ? typeEnd : behind(text, skipMember(text, targetEnd, ',"name":'), '}')

  at = skipChanges(text, at)
  at = skipMember(text, at, ',"data":', '{')
  const correlationAt = behind(text, at, ',"correlation":')
  if (correlationAt !== -1) at = skipText(text, correlationAt)
  const correlationEnd = at
  const sealedAt = behind(text, at, ',"sealed":')
  if (sealedAt !== -1) at = skipValue(text, sealedAt)
  const sealedEnd = at
  at = behind(text, skipMember(text, at, ',"redacted":'), '}}')
  if (at !== text.length) return undefined

  const scope = textAt(text, scopeAt, scopeEnd)
  const actorId = textAt(text, actorAt, actorEnd)
  const actorType = textAt(text, typeAt, typeEnd)
  const targetType = targetTypeAt === -1 ? null : textAt(text, targetTypeAt, targetTypeEnd)
  const targetId = targetTypeAt === -1 ? null : textAt(text, targetAt, targetEnd)
  if (scope === '' || actorId === '' || actorType === '' || targetType === '' || targetId === '') return undefined
  const refs = sealedAt === -1 ? [] : refsIn(text.slice(sealedAt, sealedEnd))
  if (refs === undefined) return undefined
  return {
    atMs: Date.parse(head[1]!),
    scope,
    actorType,
    actorId,
    action: event[1],
    targetType,
    targetId,
    outcome: event[2] as Facts['outcome'],
    correlationId: correlationAt === -1 ? null : textAt(text, correlationAt, correlationEnd),
    refs,
  }
}

/*
 * Each step takes where it begins and answers where it ends. Without a place, -1, every step stays there: a literal
 * begins with a comma or a brace that closes, and no entry does.
 */

function behind(text: string, at: number, literal: string): number {
  return text.startsWith(literal, at) ? at + literal.length : -1
}

/** A member that may be absent; `opens`: how its value begins. */
function skipMember(text: string, at: number, name: string, opens = ''): number {
  if (!text.startsWith(name, at)) return at
  const value = at + name.length
  return text.startsWith(opens, value) ? skipValue(text, value) : -1
}

/** An array of objects. */
function skipChanges(text: string, start: number): number {
  let at = behind(text, start, ',"changes":[')
  if (at === -1) return start
  for (;;) {
    if (text.charCodeAt(at) !== 0x7b) return -1
    at = skipValue(text, at)
    if (text.charCodeAt(at) === 0x5d) return at + 1
    if (text.charCodeAt(at) !== 0x2c) return -1
    at++
  }
}

function matched(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** The text between its quotes. */
function textAt(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end - 1)
  if (!NOT_ASCII_OR_ESCAPED.test(plain)) return plain
  return JSON.parse(Buffer.from(text.slice(start, end), 'latin1').toString()) as string
}

function refsIn(json: string): readonly string[] | undefined {
  const sealed: unknown = JSON.parse(Buffer.from(json, 'latin1').toString())
  return isSealed(sealed) ? refsOf(sealed) : undefined
}
