import type { Key, KeyPart } from '../key.ts'
import type { Kept } from './kept.ts'
import { hashPart } from './hash.ts'
import type { Scope } from './scope.ts'
import type { TagTable } from './tag-table.ts'

/** What all branches of one index have in common. */
export interface Root {
  readonly scope: Scope
  /** Keys are single texts, not arrays. */
  readonly ofTexts: boolean
  readonly tags: TagTable
}

/**
 * A part of a scope's index: the entries and the branches below some leading parts of a key. Looking up joins no
 * texts, and what is empty is cut off.
 */
export class Branch {
  readonly root: Root
  readonly parent: Branch | undefined
  /** Of the parent's `branches`. */
  readonly part: KeyPart
  /** Of the scope and the parts so far. */
  readonly hash: number
  #entries: Map<KeyPart, Kept> | undefined
  #branches: Map<KeyPart, Branch> | undefined

  constructor(root: Root, parent: Branch | undefined, part: KeyPart, seed: number) {
    this.root = root
    this.parent = parent
    this.part = part
    this.hash = hashPart(seed, part)
  }

  entry(part: KeyPart): Kept | undefined {
    return this.#entries?.get(part)
  }

  branch(part: KeyPart): Branch | undefined {
    return this.#branches?.get(part)
  }

  grow(part: KeyPart): Branch {
    const known = this.branch(part)
    if (known !== undefined) return known
    const grown = new Branch(this.root, this, part, this.hash)
    this.#branches ??= new Map()
    this.#branches.set(part, grown)
    return grown
  }

  set(entry: Kept): void {
    this.#entries ??= new Map()
    this.#entries.set(entry.part, entry)
  }

  remove(entry: Kept): void {
    this.#entries!.delete(entry.part)
    if (this.#entries!.size === 0) this.#entries = undefined
    this.#prune()
  }

  #prune(): void {
    if (this.#entries !== undefined || this.#branches !== undefined || this.parent === undefined) return
    const siblings = this.parent.#branches!
    siblings.delete(this.part)
    if (siblings.size > 0) return
    this.parent.#branches = undefined
    this.parent.#prune()
  }
}

/** The entry of an array key below `root`. */
export function find(root: Branch, key: readonly KeyPart[]): Kept | undefined {
  let branch: Branch | undefined = root
  const last = key.length - 1
  for (let i = 0; i < last; i++) {
    branch = branch.branch(key[i]!)
    if (branch === undefined) return undefined
  }
  return branch.entry(key[last]!)
}

/** Where the entry of an array key is or belongs. */
export function grow(root: Branch, key: readonly KeyPart[]): Branch {
  let branch = root
  for (let i = 0; i < key.length - 1; i++) branch = branch.grow(key[i]!)
  return branch
}

/** The key of what is at `part` of a branch. */
export function keyAt(branch: Branch, part: KeyPart): Key {
  if (branch.root.ofTexts) return part as string
  const parts: KeyPart[] = [part]
  for (let at = branch; at.parent !== undefined; at = at.parent) parts.unshift(at.part)
  return parts as [KeyPart, ...KeyPart[]]
}
