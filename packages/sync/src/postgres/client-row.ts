import type { ClientRow } from '../store.ts'
import { fromText } from './text.ts'

type ClientColumns = readonly [
  client: string,
  principal: string,
  top: string | null,
  topHere: string | null,
  pushed: number,
  offsetMs: number,
  pushedAtMs: number | null,
  pulledAtMs: number | null,
]

/** A device as SQL answers it in JSON. */
export function readClient(json: string): ClientRow {
  const columns = JSON.parse(json) as ClientColumns
  const [client, principal, top, topHere, pushed, offsetMs, pushedAtMs, pulledAtMs] = columns
  return {
    client,
    principal: fromText(principal),
    ...(top === null ? {} : { top }),
    ...(topHere === null ? {} : { topHere }),
    pushed,
    offsetMs,
    pushedAtMs,
    pulledAtMs,
  }
}
