import { createSecretKey, type KeyObject } from 'node:crypto'
import { opt, type Opt } from '@keelson/kernel'
import { WebhookError } from '../error.ts'

/** Each of them costs a hash of the body. */
const MAX = 20

/** Read by `keysOf`: what kernel says of a wrong option would show it. */
export const secretsOption: Opt<unknown> = opt.custom<unknown>(`an array of 1 to ${MAX} secrets`, () => true)

/**
 * The keys of an option, each read by `parse`, which answers a key or what is wrong with the text.
 * @throws WebhookError OPTION_INVALID that shows none of them.
 */
export function keysOf(
  owner: string,
  option: string,
  given: unknown,
  parse: (text: unknown) => KeyObject | string,
): readonly KeyObject[] {
  if (!Array.isArray(given) || given.length === 0 || given.length > MAX) {
    throw new WebhookError('OPTION_INVALID', `${owner}: "${option}" must be an array of 1 to ${MAX}`)
  }
  return given.map((text: unknown, i) => {
    const key = parse(text)
    if (typeof key === 'string') throw new WebhookError('OPTION_INVALID', `${owner}: "${option}[${i}]" ${key}`)
    return key
  })
}

/** A secret whose UTF-8 bytes are the key, prefix and all. */
export function textKey(text: unknown): KeyObject | string {
  return typeof text === 'string' && text !== '' ? createSecretKey(text, 'utf8') : 'must be a string that is not empty'
}
