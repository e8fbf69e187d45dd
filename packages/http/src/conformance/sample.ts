import { setTimeout as sleep } from 'node:timers/promises'
import { Readable } from 'node:stream'
import { context } from '@keelson/kernel'

const SECRET = 'the password is swordfish'
const text = '<p>höhe</p>'
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255)

/** What handlers answer with. */
export const sample: {
  readonly json: object
  readonly text: string
  readonly bytes: Uint8Array
  /** More than is kept. */
  readonly large: Uint8Array
  /** All bytes of the pieces together. */
  readonly length: number
  /** An absolute path. */
  readonly file: string
  readonly headers: readonly (readonly [string, string])[]
  readonly cookies: readonly (readonly [string, string])[]
  readonly location: string
  error(): Error
} = {
  json: { id: 7, name: 'Zoë' },
  text,
  bytes: pattern(5_000),
  large: pattern(200_000),
  length: 11,
  file: import.meta.filename,
  headers: [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Own', 'yes'],
    ['X-Twice', '1'],
    ['X-Twice', '2'],
  ],
  cookies: [
    ['Set-Cookie', 'a=1; Path=/'],
    ['Set-Cookie', 'b=2; Path=/'],
    ['Link', '</a>; rel=a'],
    ['Link', '</b>; rel=b'],
  ],
  location: '/elsewhere',
  error: () => new Error(SECRET),
}

/** What middleware sets on the answer, by name, as the request header 'x-in-front' tells the subject. */
export function inFront(
  text: string | readonly string[] | undefined,
): readonly (readonly [name: string, value: string])[] {
  return text === undefined ? [] : (JSON.parse(String(text)) as [string, string][])
}

/** What no client may read: the message of `sample.error()`. */
export const secret: string = SECRET

/**
 * What a handler sees of its request: the parsed body, the header If-None-Match, and its context at once, after a timer,
 * after a turn of the loop and in a stream's callback.
 */
export async function echoContext(
  body: unknown,
  ifNoneMatch: string | null = null,
): Promise<{ body: unknown; ifNoneMatch: string | null; seen: (readonly unknown[])[] }> {
  const seen = [look()]
  await sleep(1)
  seen.push(look())
  await new Promise<void>((resolve) => {
    setImmediate(() => {
      seen.push(look())
      resolve()
    })
  })
  const stream = Readable.from(['piece'])
  stream.on('data', () => seen.push(look()))
  await new Promise((resolve) => stream.on('end', resolve))
  return { body, ifNoneMatch, seen }
}

/** Correlation id, tenant and user of now; null where there is none. */
export function look(): readonly [id: string | null, tenant: string | null, user: string | null] {
  const { correlationId = null, tenant = null, principal } = context.get() ?? {}
  return [correlationId, tenant, principal?.id ?? null]
}
