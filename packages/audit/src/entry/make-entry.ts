import { isPlainText, isTraceparent, uuidv7, type KeelsonContext } from '@keelson/kernel'
import type { ActionKind } from '../audit.ts'
import { AuditError } from '../error.ts'
import type { Facts, Row, WrappedKey } from '../store.ts'
import { changesText } from './changes.ts'
import { dataText } from './data.ts'
import { entryFailure } from './failure.ts'
import { checkInput } from './input.ts'
import { instantText } from './instant.ts'
import { quoted } from './json-text.ts'
import { checkEntryOptions, MAX_ENTRY_BYTES, type CheckedEntryOptions, type EntryOptions } from './options.ts'
import { createPrivacy, type Privacy } from './privacy.ts'
import { createRedaction } from './redaction.ts'
import { cleanText, textMember, type TextPlace } from './text-member.ts'
import { tooLarge } from './too-large.ts'
import { member, whereText } from './where.ts'
import type { Draft } from './writing.ts'

/** When and in which context an entry is made. */
export interface MadeAt extends Pick<KeelsonContext, 'principal' | 'correlationId' | 'traceparent'> {
  readonly nowMs: number
  /** An entry of the log about itself: no catalogue has its action. */
  readonly own?: boolean
}

/**
 * Checks an entry and writes it once: these bytes are stored, hashed and shipped.
 * @throws AuditError ENTRY_INVALID, SCOPE_INVALID, ENTRY_TOO_LARGE, ACTION_UNKNOWN, PRIVACY_NOT_CONFIGURED
 */
export type EntryMaker = (input: unknown, at: MadeAt) => { readonly row: Row; readonly facts: Facts }

/** https://www.elastic.co/docs/reference/ecs */
const ECS_VERSION = '9.0.0'
/** Redaction makes a text at most so many times shorter: 19 digits and 18 hyphens become `[pan:1111]`. */
const SHORTER = 4
/** Of a correlation id: whoever made it up, it must keep no entry from its way. */
const MAX_CORRELATION = 128

const REASON: TextPlace = { field: 'reason', pointer: '/event/reason' }
const ACTOR_NAME: TextPlace = { field: 'actor.name', pointer: '/user/name' }
const TARGET_NAME: TextPlace = { field: 'target.name', pointer: '/audit/target/name' }
const CORRELATION: TextPlace = { field: 'correlation id', pointer: '/audit/correlation' }

/** @throws AuditError OPTION_INVALID */
export function createEntryMaker(options: EntryOptions): EntryMaker {
  const o = checkEntryOptions(options)
  const rules = createRedaction(o.redact)
  const privacy = o.privacy === undefined ? undefined : createPrivacy(o.privacy)
  const origin = originText(o)
  const kinds = new Map(
    Object.entries(o.actions ?? {}).map(([action, kind]) => [action, { kind, text: kindText(kind) }]),
  )

  function make(given: unknown, at: MadeAt): { row: Row; facts: Facts } {
    const input = checkInput(given, at.principal, rules, at.own)
    const { scope, action, actor, target, outcome, where } = input
    const known = at.own === true ? undefined : kinds.get(action)
    if (known === undefined && o.strict && at.own !== true) {
      throw new AuditError('ACTION_UNKNOWN', `entry: "${action}" is not one of "actions"`)
    }
    const id = input.id ?? uuidv7(o.clock)
    const atMs = input.atMs ?? Math.floor(at.nowMs)
    // A gap that could not be told would stand in front of every entry behind it.
    const maxBytes = at.own === true ? MAX_ENTRY_BYTES : o.maxEntryBytes
    const draft: Draft = { rules, redacted: [], personal: [], maxText: SHORTER * maxBytes }

    // In the order of the document, so that `sealed` and `redacted` have it too.
    let text = `{"@timestamp":"${instantText(atMs)}","ecs":{"version":"${ECS_VERSION}"}`
    text += `,"event":{"id":"${id}","kind":"event"${known?.text ?? ''},"action":"${action}","outcome":"${outcome}"`
    text += `${member('reason', textMember(input.reason, REASON, draft))}},"organization":{"id":${quoted(scope)}}`
    text += `,"user":{"id":${quoted(actor.id)}${member('name', textMember(actor.name, ACTOR_NAME, draft))}`
    text += `${member('roles', actor.roles && rolesText(actor.roles, draft))}}`
    if (where !== undefined) text += whereText(where, draft)
    if (isTraceparent(at.traceparent)) text += `,"trace":{"id":"${at.traceparent.slice(3, 35)}"}`
    text += `${origin},"audit":{"v":1,"actor_type":"${actor.type}"`
    if (target !== undefined) {
      const name = member('name', textMember(target.name, TARGET_NAME, draft))
      text += `,"target":{"type":"${target.type}","id":${quoted(target.id)}${name}}`
    }
    text += member('changes', changesText(input.old, input.now, draft))
    text += member('data', dataText(input.data, known?.kind, action, draft))
    const correlationId = isCorrelation(at.correlationId) ? cleanText(at.correlationId, CORRELATION, draft) : null
    if (correlationId !== null) text += `,"correlation":${quoted(correlationId)}`
    const { sealed, keys, refs } = sealedText(draft, scope, id, privacy)
    text += `${sealed}${redactedText(draft)}}}`

    const bytes = Buffer.from(text)
    if (bytes.length > maxBytes) throw tooLarge(text, bytes.length, maxBytes)
    const facts = {
      atMs,
      scope,
      actorType: actor.type,
      actorId: actor.id,
      action,
      targetType: target?.type ?? null,
      targetId: target?.id ?? null,
      outcome,
      correlationId,
      refs,
    }
    return { row: { id, bytes, keys }, facts }
  }

  return (input, at) => {
    try {
      return make(input, at)
    } catch (error) {
      // A getter of the caller's, or a stack that was nearly full already.
      throw error instanceof AuditError ? error : entryFailure('it could not be read', error)
    }
  }
}

function isCorrelation(given: unknown): given is string {
  return typeof given === 'string' && given !== '' && given.length <= MAX_CORRELATION && isPlainText(given)
}

function rolesText(roles: readonly string[], draft: Draft): string {
  const texts = roles.map((role, i) => cleanText(role, { field: 'actor.roles', pointer: `/user/roles/${i}` }, draft))
  return textsText(texts)
}

const NOTHING: { sealed: string; keys: readonly WrappedKey[]; refs: readonly string[] } = {
  sealed: '',
  keys: [],
  refs: [],
}

function sealedText({ personal }: Draft, scope: string, id: string, privacy: Privacy | undefined): typeof NOTHING {
  if (personal.length === 0) return NOTHING
  if (privacy === undefined) {
    const what = `the personal value at "${personal[0]!.pointer}" needs the option "privacy"`
    throw new AuditError('PRIVACY_NOT_CONFIGURED', `entry: ${what}`)
  }
  const { sealed, keys, refs } = privacy.seal(scope, id, personal)
  const members = personal.map(({ pointer }, i) => `${quoted(pointer)}:"${sealed[i]}"`)
  return { sealed: `,"sealed":{${members.join(',')}}`, keys, refs }
}

function redactedText({ redacted }: Draft): string {
  return redacted.length === 0 ? '' : member('redacted', textsText(redacted))
}

function textsText(texts: readonly string[]): string {
  return `[${texts.map((text) => quoted(text)).join(',')}]`
}

/** The same in each entry. */
function originText({ service: { name, version, instance }, host }: CheckedEntryOptions): string {
  const node = instance === undefined ? '' : `,"node":{"name":${quoted(instance)}}`
  const service = textIf('name', name) + textIf('version', version) + node
  return (
    (service === '' ? '' : `,"service":{${service.slice(1)}}`) +
    (host === undefined ? '' : `,"host":{${textIf('name', host).slice(1)}}`)
  )
}

function textIf(name: string, text: string | undefined): string {
  return member(name, text === undefined ? undefined : quoted(text))
}

function kindText({ category, type }: ActionKind): string {
  return member('category', category && JSON.stringify(category)) + member('type', type && JSON.stringify(type))
}
