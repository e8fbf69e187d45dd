import { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { jsonOf } from '../sinks/json-of.ts'
import { refused } from '../sinks/post.ts'
import type { Outcome } from '../sink.ts'

interface Item {
  readonly status?: number
  readonly error?: { readonly type?: string; readonly reason?: string }
}

/** Of an index that takes nothing until somebody mends it. */
const HALTS = /^(cluster_block_exception|index_closed_exception|index_not_found_exception|security_exception)$/

/**
 * What `_bulk` says of each entry. A status of 200 proves nothing: an answer that is no JSON, or not one item for each
 * entry, settles nothing.
 * @throws DeliveryFailure
 */
export function readBulk(answer: { readonly status: number; readonly text: string }, entries: number): Outcome[] {
  if (answer.status === 400) throw refused(`_bulk answered 400: ${answer.text}`)
  const { items } = (jsonOf(answer.text) ?? {}) as { items?: readonly Record<string, Item>[] }
  if (!Array.isArray(items) || items.length !== entries) {
    const what = Array.isArray(items) ? `${items.length} items for ${entries} entries` : 'an answer without items'
    throw new DeliveryFailure(`_bulk gave ${what}`)
  }
  return items.map((item: Record<string, Item> | null) => outcomeOf(Object.values(item ?? {})[0] ?? {}))
}

function outcomeOf({ status = 0, error }: Item): Outcome {
  if (status >= 200 && status < 300) return 'ok'
  // `create` of an id that is there: a lost answer of ours.
  if (status === 409) return 'duplicate'
  const why = `${status} ${error?.type ?? ''} ${error?.reason ?? ''}`.trim().slice(0, 500)
  if (HALTS.test(error?.type ?? '') || status === 401 || status === 403 || status === 404) return { halt: why }
  return status === 429 || status >= 500 || status === 0 ? { retry: why } : { reject: why }
}
