import type { StoredResponse } from '@keelson/kernel'
import type { Exchange } from './exchange.ts'
import { headerValues } from './header-values.ts'

const REPLAYED = 'Idempotent-Replayed'
const EXPOSED = 'Access-Control-Expose-Headers'

/** A stored answer as it is given again: it says so, also to scripts of another origin. */
export function replay(x: Exchange, { status, headers, body }: StoredResponse): StoredResponse {
  x.onHead((_, lines) => {
    const exposed = headerValues(lines, EXPOSED.toLowerCase()).join(', ')
    if (exposed !== '') x.setHeader(EXPOSED, `${exposed}, ${REPLAYED}`)
  })
  return { status, headers: [...headers, [REPLAYED, 'true']], body }
}
