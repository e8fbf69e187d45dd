import { isPlainText } from '@keelson/kernel'
import { CacheError } from './error.ts'
import { decodeKey, encodeKey, encodeParts, isEncodedKey, type Key, type KeyPart } from './key.ts'

/** In front of the tags that every entry has by itself: no tag of an application begins so. */
const IMPLICIT = '\u0001'
const MAX_TAG_BYTES = 256
const MAX_TAGS = 64
/** Of one UTF-16 unit in UTF-8. */
const MAX_UNIT_BYTES = 3
const encoder = new TextEncoder()

/** The tag of all entries of a scope: `clear()`. */
export const SCOPE_TAG: string = `${IMPLICIT}a`

/**
 * The tag of exactly one key, for `drop` and `invalidate`.
 *
 * ```ts
 * cache.drop(keyOf(['user', 7]))
 * ```
 *
 * @throws CacheError KEY_INVALID
 */
export function keyOf(key: Key): string {
  return keyTag(encodeKey(key))
}

/** `keyOf` a key that is encoded already. */
export function keyTag(encodedKey: string): string {
  return `${IMPLICIT}k${encodedKey}`
}

/**
 * The tag of every array key that starts with these parts, up to the cache's `prefixDepth` (1) of them.
 *
 * ```ts
 * await cache.invalidate(prefix('user')) // ['user', 7], ['user', 8, 'orders'], not ['users', 1]
 * ```
 *
 * @throws CacheError KEY_INVALID
 */
export function prefix(...head: KeyPart[]): string {
  return `${IMPLICIT}p${encodeKey(head as [KeyPart, ...KeyPart[]])}` // longer ones begin no key
}

/** The tags that every entry of this key has: its own, its prefixes up to `prefixDepth` parts, its scope's. */
export function implicitTags(key: Key, encodedKey: string, prefixDepth: number): string[] {
  const tags = [keyTag(encodedKey), SCOPE_TAG]
  if (typeof key === 'string') return tags
  for (let parts = 1; parts <= prefixDepth && parts <= key.length; parts++) {
    tags.push(`${IMPLICIT}p${encodeParts(key.slice(0, parts), key)}`)
  }
  return tags
}

/** True for the tag of exactly one key: such tags are never shared by entries. */
export function isKeyTag(tag: string): boolean {
  return tag.startsWith(`${IMPLICIT}k`)
}

/** The key of a tag for which `isKeyTag` is true. */
export function keyOfTag(tag: string): Key {
  return decodeKey(tag.slice(IMPLICIT.length + 1))
}

/** How many leading parts a tag of `prefix` has; 0 of any other tag. */
export function prefixParts(tag: string): number {
  return isPrefixTag(tag) ? decodeKey(tag.slice(IMPLICIT.length + 1)).length : 0
}

function isPrefixTag(tag: string): boolean {
  return tag.startsWith(`${IMPLICIT}p`)
}

/** True for a tag that no application gives: of a key, of a prefix or of the scope. */
export function isImplicit(tag: string): boolean {
  return tag.startsWith(IMPLICIT)
}

/**
 * Tags as an application gives them: 1 to 256 bytes, no control character. With `implicit`, those of `keyOf` and
 * `prefix` too. Duplicates are removed.
 * @throws CacheError TAG_INVALID
 */
export function checkTags(tags: readonly string[], o: { implicit: boolean }): readonly string[] {
  if (!Array.isArray(tags)) throw tagInvalid(`tags must be an array of strings (got ${typeof tags})`)
  if (tags.length > MAX_TAGS && !o.implicit)
    throw tagInvalid(`an entry has at most ${MAX_TAGS} tags (got ${tags.length})`)
  for (const tag of tags as readonly unknown[]) checkTag(tag, o.implicit)
  return new Set(tags).size === tags.length ? tags : [...new Set(tags)]
}

/**
 * The declared tags of an entry and those that its load told.
 * @throws CacheError TAG_INVALID
 */
export function allTags(declared: readonly string[], told: readonly string[]): readonly string[] {
  const tags = [...new Set([...declared, ...told])]
  checkTags(
    tags.filter((tag) => !isImplicit(tag)),
    { implicit: false },
  )
  return tags
}

function checkTag(tag: unknown, implicit: boolean): void {
  if (typeof tag !== 'string' || tag === '') throw tagInvalid(`a tag must be a non-empty string (got ${typeof tag})`)
  if (implicit && isOfKeys(tag)) return
  if (tag.length * MAX_UNIT_BYTES > MAX_TAG_BYTES && encoder.encode(tag).length > MAX_TAG_BYTES)
    throw tagInvalid(`a tag has at most ${MAX_TAG_BYTES} bytes (got ${encoder.encode(tag).length})`)
  if (!isPlainText(tag)) throw tagInvalid('a tag must be well-formed text without control characters')
}

/** True for what `keyOf` and `prefix` answer; of other texts a store has no bound. */
function isOfKeys(tag: string): boolean {
  return (isKeyTag(tag) || isPrefixTag(tag)) && isEncodedKey(tag.slice(IMPLICIT.length + 1))
}

function tagInvalid(message: string): CacheError {
  return new CacheError('TAG_INVALID', message)
}
