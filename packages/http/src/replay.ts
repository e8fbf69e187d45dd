import type { StoredResponse } from '@keelson/kernel'
import type { Exchange, Headers } from './exchange.ts'

const REPLAYED = 'Idempotent-Replayed'
const EXPOSED = 'Access-Control-Expose-Headers'

/** A stored answer as it is given again: it says so, also to scripts of another origin. */
export function replay(x: Exchange, { status, headers, body }: StoredResponse): StoredResponse {
  x.onHead((_, lines) => {
    const exposed = valuesOf(lines, EXPOSED).join(', ')
    if (exposed !== '') x.setHeader(EXPOSED, `${exposed}, ${REPLAYED}`)
  })
  return { status, headers: [...headers, [REPLAYED, 'true']], body }
}

function valuesOf(headers: Headers, name: string): string[] {
  return headers.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
}
