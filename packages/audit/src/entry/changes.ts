import { AuditError } from '../error.ts'
import { compare } from './differences.ts'
import { quoted } from './json-text.ts'
import { PersonalCopy, plainCopy, type Plain } from './plain-copy.ts'
import { escapeToken, pointerOf } from './pointer.ts'
import { reading, startWalk } from './walk.ts'
import { startWriting, written, writtenAtOnce, type Draft } from './writing.ts'

/** Beyond these a change is told without its values. */
const MAX_DEPTH = 8
const MAX_CHANGES = 200
const MAX_VALUE_BYTES = 2_048

/** Of one UTF-16 unit in UTF-8. */
const MAX_UNIT_BYTES = 3

/** What is longer before redaction is not looked at. */
const MAX_VALUE_TEXT = 4 * MAX_VALUE_BYTES

/**
 * The differences of two values as the JSON of `audit.changes`; undefined if there are none. Persons' values are compared
 * as they are and leave with their change. Where more than 200 differ, the last change has the path of all: ''. What is
 * created or removed is told member by member: as one value it would soon be too large.
 */
export function changesText(old: unknown, now: unknown, draft: Draft): string | undefined {
  if (old === now) return undefined
  const before = copied(old, 'old')
  const after = copied(now, 'new')
  const a = orEmpty(before, after)
  const b = orEmpty(after, before)
  let all = ''
  let count = 0
  const complete = compare(a, b, {
    found(path, was, is) {
      if (count === MAX_CHANGES) return false
      all += `${count === 0 ? '' : ','}${changeText(count, path, was, is, draft)}`
      count++
      return true
    },
    // Members of a secret are no members of anything.
    whole: (path) => path.length >= MAX_DEPTH || isSecret(path, draft),
  })
  if (!complete) all += ',{"path":"","changed":true}'
  return count === 0 ? undefined : `[${all}]`
}

/** Nothing is compared with an object's members as an object without any. */
function orEmpty(value: Plain | undefined, other: Plain | undefined): Plain | undefined {
  if (value != null || !isContainer(other) || Object.keys(other as object).length === 0) return value
  return Array.isArray(other) ? [] : {}
}

function copied(value: unknown, name: string): Plain | undefined {
  const walk = startWalk(name)
  return reading(walk, () => plainCopy(value, walk))
}

type Path = readonly (string | number)[]

function changeText(n: number, path: Path, old: Plain | undefined, now: Plain | undefined, draft: Draft): string {
  const at = `/audit/changes/${n}`
  const pointer = pathText(path, at, draft)
  if (isSecret(path, draft)) draft.redacted.push(at)
  else if (path.length < MAX_DEPTH || !isContainer(old) || !isContainer(now)) {
    const marks = { redacted: draft.redacted.length, personal: draft.personal.length }
    const rule = draft.rules.paths === undefined ? '' : rulePointer(path)
    const before = valueText('old', old, draft, at, rule)
    const after = before === undefined ? undefined : valueText('new', now, draft, at, rule)
    if (after !== undefined) return `{"path":${pointer}${before}${after}}`
    // What is left out is neither redacted nor sealed.
    draft.redacted.length = marks.redacted
    draft.personal.length = marks.personal
  }
  return `{"path":${pointer},"changed":true}`
}

/** Names of members are data too: they may hold card numbers. */
function pathText(path: Path, at: string, { rules, redacted }: Draft): string {
  let pointer = ''
  let hasCard = false
  for (const token of path) {
    const member = typeof token === 'number' ? undefined : rules.member(token)
    pointer += `/${member === undefined ? token : escapeToken(member.name)}`
    hasCard ||= member?.card === true
  }
  if (hasCard) redacted.push(`${at}/path`)
  return quoted(pointer)
}

/** Members of a secret are not looked at, so only the last name counts. */
function isSecret(path: Path, { rules }: Draft): boolean {
  const last = path.at(-1)
  if (typeof last === 'string' && rules.member(last).secret) return true
  return rules.paths?.has(rulePointer(path)) === true
}

/** By the names of members: the place in `changes` is nothing that options could name. */
function rulePointer(path: Path): string {
  return `/audit/changes${pointerOf(path)}`
}

/** With its name and a comma; empty if nothing is there or only a person's value; undefined if it is too large. */
function valueText(name: string, value: Plain | undefined, draft: Draft, at: string, rule: string): string | undefined {
  if (value === undefined) return ''
  const atOnce = writtenAtOnce(value, draft, MAX_VALUE_TEXT)
  if (atOnce !== undefined) return bytesOf(atOnce) > MAX_VALUE_BYTES ? undefined : `,"${name}":${atOnce}`
  const first = draft.personal.length
  let text: string | undefined
  try {
    text = written(value, startWriting(name, { draft, at: `${at}/${name}`, rule, maxText: MAX_VALUE_TEXT }))
  } catch (error) {
    if (error instanceof AuditError && error.code === 'ENTRY_TOO_LARGE') return undefined
    throw error
  }
  let bytes = bytesOf(text ?? '')
  for (const sealed of draft.personal.slice(first)) bytes += bytesOf(sealed.text)
  if (bytes > MAX_VALUE_BYTES) return undefined
  return text === undefined ? '' : `,"${name}":${text}`
}

/** Counted only where it matters. */
function bytesOf(text: string): number {
  return text.length * MAX_UNIT_BYTES <= MAX_VALUE_BYTES ? text.length : Buffer.byteLength(text)
}

function isContainer(value: Plain | undefined): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof PersonalCopy)
}
