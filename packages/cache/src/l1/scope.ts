import type { Key } from '../key.ts'
import { isKeyTag, keyOfTag, SCOPE_TAG } from '../tag.ts'
import { validityOf, type Invalidations } from '../validity.ts'
import { Branch, find, grow } from './branch.ts'
import { Kept } from './kept.ts'
import type { L1Entry, L1Scope, NewL1Entry } from './l1.ts'
import type { Notes } from './notes.ts'
import type { Policy } from './policy.ts'
import { TagNode } from './tag-node.ts'

/** The policy looks at no more. */
const MAX_USES = 15
const NO_NODES: readonly TagNode[] = []

/** What all scopes of one L1 have in common. */
export interface Shared {
  readonly policy: Policy
  readonly notes: Notes
  readonly limits: { readonly maxBytes: number }
  monotonic(): number
  /** The highest generation of any scope: one that is forgotten and comes back begins behind it. */
  generation: number
  tags: number
}

/** The entries of one scope. */
export class Scope implements L1Scope, Invalidations {
  generation: number
  /** Of keys that are one string. */
  readonly texts: Branch
  /** Of keys that are arrays. */
  readonly paths: Branch
  readonly #shared: Shared
  readonly #nodes = new Map<string, TagNode>()
  floor: number
  /** The last invalidation of everything. */
  #cleared = 0
  #softCleared = 0

  constructor(name: string, shared: Shared, seed: number) {
    this.#shared = shared
    this.generation = shared.generation
    this.floor = shared.generation
    this.texts = new Branch(this, undefined, name, seed)
    this.paths = new Branch(this, undefined, name, ~seed)
  }

  get(key: Key): L1Entry | undefined {
    const entry = typeof key === 'string' ? this.texts.entry(key) : find(this.paths, key)
    if (entry === undefined) return undefined
    if (entry.seen !== this.generation && !this.isValid(entry)) {
      this.remove(entry)
      return undefined
    }
    if (entry.uses < MAX_USES) entry.uses++
    return entry
  }

  put(key: Key, at: number, given: NewL1Entry): L1Entry | undefined {
    const validity = validityOf(at, given.tags, this)
    if (validity === 'invalid') return undefined
    const home = typeof key === 'string' ? this.texts : grow(this.paths, key)
    const part = typeof key === 'string' ? key : key.at(-1)!
    const nodes = this.#acquire(given.tags)
    const entry = new Kept(given, this.generation, nodes, home, part)
    if (validity === 'stale') entry.endsMs = 0
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
    const { notes } = this.#shared
    const nowMs = this.#shared.monotonic()
    this.generation = ++this.#shared.generation
    for (const tag of tags) {
      if (tag === SCOPE_TAG) {
        if (soft) this.#softCleared = this.generation
        else this.#cleared = this.generation
        continue
      }
      if (isKeyTag(tag)) this.#bumpKey(keyOfTag(tag), soft)
      const node = this.#nodes.get(tag) ?? this.#newNode(tag)
      if (soft) node.softened = this.generation
      else node.bumped = this.generation
      notes.add(this, node, nowMs)
    }
    notes.age(nowMs)
  }

  moved(tags: readonly string[], at: number): boolean {
    return validityOf(at, tags, this) === 'invalid'
  }

  hard(tag: string): number {
    return tag === SCOPE_TAG ? this.#cleared : (this.#nodes.get(tag)?.bumped ?? 0)
  }

  soft(tag: string): number {
    return tag === SCOPE_TAG ? this.#softCleared : (this.#nodes.get(tag)?.softened ?? 0)
  }

  /** `validityOf` by what has changed since it was last found valid. */
  isValid(entry: Kept): boolean {
    const since = entry.seen
    if (this.#cleared > since) return false
    let isSoft = this.#softCleared > since
    for (const { bumped, softened } of entry.nodes) {
      if (bumped > since) return false
      if (softened > since) isSoft = true
    }
    if (isSoft) entry.endsMs = 0
    entry.seen = this.generation
    return true
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

  release(node: TagNode): void {
    if (--node.refs > 0) return
    this.#nodes.delete(node.tag)
    this.#shared.tags--
    this.floor = Math.max(this.floor, node.bumped, node.softened)
  }

  /** Forgets everything, what is being loaded too. The policy and the notes are cleared by the caller. */
  reset(generation: number): void {
    this.generation = generation
    this.floor = generation
    this.#nodes.clear()
    this.texts.clear()
    this.paths.clear()
  }

  #bumpKey(key: Key, soft: boolean): void {
    const entry = typeof key === 'string' ? this.texts.entry(key) : find(this.paths, key)
    if (entry === undefined) return
    if (soft) entry.endsMs = 0
    else this.remove(entry)
  }

  #acquire(tags: readonly string[]): readonly TagNode[] {
    const shared = tags.filter(isShared)
    if (shared.length === 0) return NO_NODES
    return shared.map((tag) => {
      const node = this.#nodes.get(tag) ?? this.#newNode(tag)
      node.refs++
      return node
    })
  }

  #newNode(tag: string): TagNode {
    const node = new TagNode(tag)
    this.#nodes.set(tag, node)
    this.#shared.tags++
    return node
  }

  #releaseAll(entry: Kept): void {
    for (const node of entry.nodes) this.release(node)
  }
}

/** What an entry has a node of: the scope's tag is a number here, and the key's finds its entry. */
function isShared(tag: string): boolean {
  return tag !== SCOPE_TAG && !isKeyTag(tag)
}
