import { AuditError } from '../error.ts'
import { kindOf, shownName } from './failure.ts'
import { quoted } from './json-text.ts'
import { isPersonal } from './personal.ts'
import { escapeToken, pointerOf } from './pointer.ts'
import { REDACTED, type MemberName, type Redaction } from './redaction.ts'
import { checkSubject } from './subject.ts'
import { enter, refusal, startWalk, type Visit, type Walk } from './walk.ts'

/** What the members of an entry have in common while it is written. */
export interface Draft {
  readonly rules: Redaction
  /** JSON pointers of what was redacted. */
  readonly redacted: string[]
  /** What is encrypted at the end. */
  readonly personal: PersonalValue[]
  /** Characters: what has more is larger than an entry, redacted or not. */
  readonly maxText: number
}

/** A value of a person, on its way from the caller's object into a cipher. */
export interface PersonalValue {
  readonly pointer: string
  readonly subject: string
  /** As JSON. */
  readonly text: string
}

/** Writes a caller's value as JSON: redaction, checks and text in one walk. */
export interface Writing extends Walk {
  readonly draft: Draft
  /** Where the walk begins in the document, as a pointer. */
  readonly at: string
  /** The same place as `redact.paths` sees it. */
  readonly rule: string
  /** Characters before redaction: what has more is not looked at any further. */
  readonly maxText: number
  /** Inside of a person's value. */
  inPersonal: boolean
  written: number
}

export function startWriting(name: string, o: Pick<Writing, 'draft' | 'at' | 'rule' | 'maxText'>): Writing {
  const { path, above, objectsLeft, maxDepth } = startWalk(name)
  const { draft, at, rule, maxText } = o
  // One literal: to spread objects takes as long as to write a small one.
  return { name, path, above, objectsLeft, maxDepth, draft, at, rule, maxText, inPersonal: false, written: 0 }
}

/** The value as JSON; undefined when nothing is there, or only a person's value. @throws AuditError ENTRY_INVALID, ENTRY_TOO_LARGE */
export function written(value: unknown, w: Writing): string | undefined {
  if (typeof value === 'object' && value !== null) {
    return isPersonal(value) ? seal(value, w) : enter(value, w, VISIT)
  }
  return primitive(value, w)
}

/** A value that needs no walk, as most do; undefined for the others. */
export function writtenAtOnce(value: unknown, { rules }: Draft, maxText: number): string | undefined {
  switch (typeof value) {
    case 'string':
      return value.length <= maxText && rules.text(value) === value ? quoted(value) : undefined
    case 'number':
      return value < MAX_SHORT && value > -MAX_SHORT ? `${value}` : undefined
    case 'boolean':
      return value ? 'true' : 'false'
    default:
      return undefined
  }
}

/** A number of 13 digits may be a card's. */
const MAX_SHORT = 1e12

const VISIT: Visit<string | undefined, Writing> = { array, object, value: primitive }

function primitive(value: unknown, w: Writing): string | undefined {
  switch (typeof value) {
    case 'string':
      return textOf(value, w)
    case 'number':
      if (!Number.isFinite(value)) throw refusal(w, kindOf(value))
      return value >= MAX_SHORT || value <= -MAX_SHORT ? numberOf(String(value), w) : `${value}`
    case 'boolean':
      return value ? 'true' : 'false'
    case 'bigint':
      return textOf(String(value), w)
    case 'undefined':
      return undefined
    case 'object':
      return 'null' // No other one comes here.
    default:
      throw refusal(w, kindOf(value))
  }
}

function textOf(text: string, w: Writing): string {
  w.written += text.length
  if (w.written > w.maxText) throw tooLong(w)
  const clean = w.draft.rules.text(text)
  if (clean !== text) w.draft.redacted.push(pointerHere(w))
  return quoted(clean)
}

function numberOf(digits: string, w: Writing): string {
  const clean = w.draft.rules.text(digits)
  if (clean === digits) return digits
  w.draft.redacted.push(pointerHere(w))
  return quoted(clean)
}

function array(given: readonly unknown[], w: Writing): string {
  let all = ''
  for (let i = 0; i < given.length; i++) {
    w.path.push(i)
    const value = given[i]
    if (value === undefined) throw refusal(w, 'undefined')
    // A person's value leaves its place free: the others keep their index.
    all += `${i === 0 ? '' : ','}${hidden(w) ?? written(value, w) ?? 'null'}`
    w.path.pop()
    if ((w.written += 2) > w.maxText) throw tooLong(w)
  }
  return `[${all}]`
}

function object(given: Readonly<Record<string, unknown>>, w: Writing, toJson: unknown): string {
  let all = ''
  let renamed: Set<string> | undefined
  const names = Object.keys(given)
  for (const key of names) {
    w.path.push(key)
    const value = key === 'toJSON' ? toJson : given[key]
    if (value !== undefined) {
      const found = w.draft.rules.member(key, !w.inPersonal)
      const member = found.changed ? unlike(found, (renamed ??= new Set(names))) : found
      w.path[w.path.length - 1] = member.name
      if (member.card && !member.secret) w.draft.redacted.push(pointerHere(w))
      const text = member.secret ? hide(w) : (hidden(w) ?? written(value, w))
      if (text !== undefined) all += `${all === '' ? '' : ','}${member.text}${text}`
      if ((w.written += key.length + 3) > w.maxText) throw tooLong(w)
    }
    w.path.pop()
  }
  return `{${all}}`
}

/** Two card numbers may end alike: a name must not stand in an object twice. */
function unlike(member: MemberName, taken: Set<string>): MemberName {
  let { name } = member
  for (let n = 2; taken.has(name); n++) name = `${member.name}(${n})`
  taken.add(name)
  return { ...member, name, text: `${quoted(name)}:` }
}

function hide(w: Writing): string {
  w.draft.redacted.push(pointerHere(w))
  return `"${REDACTED}"`
}

/** If the options name this place. */
function hidden(w: Writing): string | undefined {
  const { paths } = w.draft.rules
  return paths?.has(w.rule + pointerOf(w.path)) ? hide(w) : undefined
}

function seal(given: object, w: Writing): undefined {
  if (w.inPersonal) throw refusal(w, 'a personal value inside of another one')
  const { subject, value } = given as { subject: unknown; value: unknown }
  checkSubject(subject, `the subject of "${w.name}${shownName(pointerOf(w.path))}"`)
  w.inPersonal = true
  const text = written(value, w)
  w.inPersonal = false
  if (text !== undefined) w.draft.personal.push({ pointer: pointerHere(w), subject, text })
}

function pointerHere(w: Writing): string {
  return w.at + pointerOf(w.path)
}

function tooLong(w: Writing): AuditError {
  const [top] = w.path
  const member = w.at + (top === undefined ? '' : `/${escapeToken(String(top))}`)
  return new AuditError('ENTRY_TOO_LARGE', `entry: "${shownName(member)}" alone is larger than an entry may be`)
}
