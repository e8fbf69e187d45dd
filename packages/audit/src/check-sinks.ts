import { optionFailure } from './error.ts'
import { shown } from './input.ts'
import type { Sink } from './sink.ts'

type Rule = readonly [member: keyof Sink, allowed: string, accepts: (given: unknown) => boolean]

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

const maybe =
  (accepts: Rule[2]): Rule[2] =>
  (given) =>
    given === undefined || accepts(given)
const isFunction: Rule[2] = (given) => typeof given === 'function'
const isFrom =
  (least: number): Rule[2] =>
  (given) =>
    Number.isFinite(given) && (given as number) >= least
const areTexts: Rule[2] = (given) => Array.isArray(given) && given.every((one) => typeof one === 'string')

/** Sinks of others come without types, perhaps: a bound that is missing would be none. */
const RULES: readonly Rule[] = [
  ['name', 'a text of A-Z a-z 0-9 . _ -, at most 64', (given) => typeof given === 'string' && NAME.test(given)],
  ['deliver', 'a function', isFunction],
  ['ordered', 'true or false', (given) => typeof given === 'boolean'],
  ['maxBatchBytes', 'a number of bytes, at least 1', isFrom(1)],
  ['maxBatchEntries', 'an integer of at least 1', (given) => Number.isInteger(given) && (given as number) >= 1],
  ['flushMs', 'a number of ms', isFrom(0)],
  ['timeoutMs', 'a number of ms, at least 1', isFrom(1)],
  ['settleAfterMs', 'a number of ms', maybe(isFrom(0))],
  ['only', '{ scopes?, actions? }, arrays of texts', maybe(isOnly)],
  ...(['lost', 'open', 'setup', 'state', 'erase', 'close'] as const).map((member): Rule => [
    member,
    'a function',
    maybe(isFunction),
  ]),
]

/** @throws AuditError OPTION_INVALID */
export function checkSinks(sinks: readonly Sink[]): void {
  for (const [i, sink] of sinks.entries()) {
    if (typeof sink !== 'object' || sink === null) throw failure(i, `must be a sink (got ${shown(sink)})`)
    for (const [member, allowed, accepts] of RULES) {
      const given = sink[member]
      if (!accepts(given)) throw failure(i, `must have "${member}": ${allowed} (got ${shown(given)})`)
    }
    const twin = sinks.findIndex(({ name }) => name === sink.name)
    if (twin < i) throw failure(i, `has the name '${sink.name}' of another one: its cursor is kept under it`)
  }
}

function isOnly(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const { scopes, actions } = given as NonNullable<Sink['only']>
  return maybe(areTexts)(scopes) && maybe(areTexts)(actions)
}

function failure(i: number, what: string): Error {
  return optionFailure(`createAudit: "sinks[${i}]" ${what}`)
}
