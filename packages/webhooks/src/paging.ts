import { readPageCursor } from '@keelson/kernel/page-cursor'
import { inputFailure, shown } from './input.ts'
import type { PageQuery } from './webhooks.ts'

const DEFAULT_LIMIT = 50
const MAX_LIMIT = 200

/** @throws WebhookError INPUT_INVALID */
export function checkLimit(owner: string, { limit = DEFAULT_LIMIT }: PageQuery): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit
  throw inputFailure(`${owner}: "limit" must be an integer from 1 to ${MAX_LIMIT} (got ${shown(limit)})`)
}

/** What stands in a cursor of this query. @throws WebhookError INPUT_INVALID */
export function readCursor(owner: string, query: object, after: string | undefined): string | undefined {
  if (after === undefined) return undefined
  const last = readPageCursor(query, after)
  if (last !== undefined) return last
  throw inputFailure(`${owner}: "after" must be the "next" of a page of the same query`)
}
