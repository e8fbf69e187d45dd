import type { Headers } from '../exchange.ts'
import { headerValues } from '../header-values.ts'
import { isListHeader } from '../list-header.ts'

/** What the bytes are and who may have them: one with the answer, whoever has said it. */
const OF_THE_ANSWER = new Set(
  `vary cache-control expires etag last-modified
   content-type content-encoding content-language content-location content-disposition`.split(/\s+/),
)

/**
 * The headers of an answer that are its handler's: without those that stood there before and are unchanged. They belong
 * to middleware, which may have set them for one user, and sets them for the next one itself.
 */
export function ownHeaders(headers: Headers, before: Headers): Headers {
  return headers.flatMap((line): Headers => {
    const [name, value] = line
    const key = name.toLowerCase()
    const stood = OF_THE_ANSWER.has(key) ? [] : headerValues(before, key)
    if (stood.length === 0) return [line]
    if (!isListHeader(key)) return isBuiltOn(stood, headerValues(headers, key)) ? [] : [line]
    if (stood.includes(value)) return []
    // Some append to the line itself.
    const front = `${stood.join(', ')}, `
    return value.startsWith(front) ? [[name, value.slice(front.length)]] : [line]
  })
}

/** What is unchanged, appended to or extended holds what may be one user's. */
function isBuiltOn(stood: readonly string[], now: readonly string[]): boolean {
  return now.some((value) => stood.some((each) => each !== '' && value.includes(each)))
}
