import type { ActionKind } from '../audit.ts'
import { entryFailure, kindOf, shownName } from './failure.ts'
import { isPersonal } from './personal.ts'
import { startWriting, written, type Draft } from './writing.ts'
import { reading } from './walk.ts'

/** `audit.data`; undefined when nothing is there. @throws AuditError ENTRY_INVALID, ENTRY_TOO_LARGE */
export function dataText(
  given: unknown,
  kind: ActionKind | undefined,
  action: string,
  draft: Draft,
): string | undefined {
  const data = kind?.data === undefined ? given : validated(kind.data, action, given)
  if (data === undefined) return undefined
  if (typeof data !== 'object' || data === null || isPersonal(data)) throw notAnObject(data)
  const at = '/audit/data'
  const writing = startWriting('data', { draft, at, rule: at, maxText: draft.maxText })
  const text = reading(writing, () => written(data, writing))
  if (text?.startsWith('{') !== true) throw notAnObject(data)
  return text === '{}' ? undefined : text
}

function notAnObject(data: unknown): Error {
  return entryFailure(`"data" must be an object of named values (got ${kindOf(data)})`)
}

function validated(schema: NonNullable<ActionKind['data']>, action: string, data: unknown): unknown {
  let result
  try {
    result = schema['~standard'].validate(data)
  } catch (error) {
    throw entryFailure(`the schema of "${action}" threw`, error)
  }
  if (result instanceof Promise) {
    // Nobody waits for it: what it says must not become an unhandled rejection.
    result.catch(() => {})
    throw entryFailure(`the schema of "${action}" validates asynchronously; an entry is checked at once`)
  }
  if (result.issues === undefined) return result.value
  // Its words alone: an issue itself may hold the value.
  const [issue] = result.issues
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.') ?? ''
  const place = path === '' ? '"data"' : `"data.${shownName(path)}"`
  throw entryFailure(`${place} of "${action}": ${shownName(issue?.message ?? 'refused by its schema')}`)
}
