import type { Key } from '../key.ts'
import { isKeyTag, keyOfTag, SCOPE_TAG } from '../tag.ts'
import { validityOf, type Invalidations } from '../validity.ts'
import { Branch, find, grow } from './branch.ts'
import { hashPart } from './hash.ts'
import { Kept } from './kept.ts'
import type { L1Entry, L1Scope, NewL1Entry } from './l1.ts'
import type { Notes } from './notes.ts'
import { use, type Policy } from './policy.ts'
import { after, idAt, pack, type TagTable } from './tag-table.ts'

/** What all scopes of one L1 have in common. */
export interface Shared {
  readonly policy: Policy
  readonly notes: Notes
  tags: TagTable
  readonly limits: { readonly maxBytes: number }
  monotonic(): number
  /** The highest generation of any scope: one that is forgotten and comes back begins behind it. */
  generation: number
}

/** The entries of one scope. */
export class Scope implements L1Scope, Invalidations {
  generation: number
  /** Of keys that are one string. */
  #texts!: Branch
  /** Of keys that are arrays. */
  #paths!: Branch
  readonly #shared: Shared
  readonly #hash: number
  /** Of tags that entries have or that were invalidated of late. */
  readonly #tagIds = new Map<string, number>()
  /** Most entries of a moment share it. */
  #stamp = ''
  floor: number
  /** The last invalidation of everything. */
  #cleared = 0
  #softCleared = 0

  constructor(name: string, shared: Shared, seed: number) {
    this.#shared = shared
    this.#hash = hashPart(seed, name)
    this.generation = shared.generation
    this.floor = shared.generation
    this.reset()
  }

  get(key: Key): L1Entry | undefined {
    const entry = typeof key === 'string' ? this.#texts.entry(key) : find(this.#paths, key)
    if (entry === undefined) return undefined
    if (entry.seen !== this.generation && !this.isValid(entry)) {
      this.remove(entry)
      return undefined
    }
    use(entry)
    return entry
  }

  put(key: Key, at: number, given: NewL1Entry): L1Entry | undefined {
    const validity = validityOf(at, given.tags, this)
    if (validity === 'invalid' || (validity === 'stale' && given.goneMs <= given.endsMs)) return undefined
    const home = typeof key === 'string' ? this.#texts : grow(this.#paths, key)
    const part = typeof key === 'string' ? key : key.at(-1)!
    const tagIds = this.#hold(given.tags)
    if (given.stamp !== this.#stamp) this.#stamp = given.stamp
    const entry = new Kept(given, this.#stamp, this.generation, tagIds, home, part)
    if (validity === 'stale') entry.soften()
    const known = home.entry(part)
    home.set(entry)
    if (known !== undefined) this.#releaseAll(known)
    if (entry.bytes <= this.#shared.limits.maxBytes) this.#shared.policy.add(entry, known)
    else {
      if (known !== undefined) this.#shared.policy.remove(known)
      this.forget(entry)
    }
    return entry
  }

  bump(tags: readonly string[], soft = false): void {
    const { notes, tags: table } = this.#shared
    const nowMs = this.#shared.monotonic()
    this.generation = ++this.#shared.generation
    for (const tag of tags) {
      if (tag === SCOPE_TAG) {
        if (soft) this.#softCleared = this.generation
        else this.#cleared = this.generation
        continue
      }
      if (isKeyTag(tag)) this.#bumpKey(keyOfTag(tag), soft)
      const id = this.#idOf(tag)
      const last = soft ? table.soft : table.hard
      last[id] = this.generation
      if (notes.add(this, id, nowMs)) table.hold(id)
    }
    notes.age(nowMs)
  }

  moved(tags: readonly string[], at: number): boolean {
    return validityOf(at, tags, this) === 'invalid'
  }

  hard(tag: string): number {
    return tag === SCOPE_TAG ? this.#cleared : this.#last(this.#shared.tags.hard, tag)
  }

  soft(tag: string): number {
    return tag === SCOPE_TAG ? this.#softCleared : this.#last(this.#shared.tags.soft, tag)
  }

  #last(of: readonly number[], tag: string): number {
    const id = this.#tagIds.get(tag)
    return id === undefined ? 0 : of[id]!
  }

  /** `validityOf` by what has changed since it was last found valid. */
  isValid(entry: Kept): boolean {
    const since = entry.seen
    if (this.#cleared > since) return false
    let isSoft = this.#softCleared > since
    const { tagIds } = entry
    const { hard, soft } = this.#shared.tags
    for (let at = 0; at < tagIds.length; at = after(tagIds, at)) {
      const id = idAt(tagIds, at)
      if (hard[id]! > since) return false
      if (soft[id]! > since) isSoft = true
    }
    entry.seen = this.generation
    return !isSoft || entry.soften()
  }

  /** Takes it out of everything. */
  remove(entry: Kept): void {
    this.#shared.policy.remove(entry)
    this.forget(entry)
  }

  /** Takes it out of the index and off its tags. */
  forget(entry: Kept): void {
    entry.home.remove(entry)
    this.#releaseAll(entry)
  }

  /** Called by who held it. */
  release(id: number): void {
    const { tags: table } = this.#shared
    if (!table.release(id)) return
    this.#tagIds.delete(table.tag(id))
    this.floor = Math.max(this.floor, table.hard[id]!, table.soft[id]!)
    table.remove(id)
  }

  /** Forgets everything, what is being loaded too. Policy, notes and tags are the caller's. */
  reset(): void {
    this.generation = this.#shared.generation
    this.floor = this.generation
    this.#tagIds.clear()
    const { tags } = this.#shared
    this.#texts = new Branch({ scope: this, ofTexts: true, tags }, undefined, '', this.#hash)
    this.#paths = new Branch({ scope: this, ofTexts: false, tags }, undefined, '', ~this.#hash)
  }

  #bumpKey(key: Key, soft: boolean): void {
    const entry = typeof key === 'string' ? this.#texts.entry(key) : find(this.#paths, key)
    if (entry !== undefined && !(soft && entry.soften())) this.remove(entry)
  }

  #hold(tags: readonly string[]): string {
    const ids = tags.filter(isShared).map((tag) => this.#idOf(tag))
    for (const id of ids) this.#shared.tags.hold(id)
    return pack(ids)
  }

  #idOf(tag: string): number {
    const known = this.#tagIds.get(tag)
    if (known !== undefined) return known
    const id = this.#shared.tags.add(tag)
    this.#tagIds.set(tag, id)
    return id
  }

  #releaseAll(entry: Kept): void {
    const { tagIds } = entry
    entry.leave()
    for (let at = 0; at < tagIds.length; at = after(tagIds, at)) this.release(idAt(tagIds, at))
  }
}

/** What an entry points at: the scope's tag is a number here, and the key's finds its entry. */
function isShared(tag: string): boolean {
  return tag !== SCOPE_TAG && !isKeyTag(tag)
}
