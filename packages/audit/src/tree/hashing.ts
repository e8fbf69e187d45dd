/*
 * SHA-256 as RFC 6962 2.1 uses it. `hash` answers a string of bytes that is written where the hash belongs: measured on
 * Node 24, 0.55 us for a node and 1.1 us for a leaf of 700 bytes; with a Buffer for each hash 1.7 and 2.3, with
 * SHA-256 in JavaScript 0.9 for a node.
 */
import { hash } from 'node:crypto'

/** Bytes of a hash. */
export const HASH = 32

/** An entry of the largest size and its prefix. */
const scratch = Buffer.alloc(1 + 65_535)
/** 0x01 || left || right */
const pair = Buffer.alloc(1 + 2 * HASH, 1)

/** SHA-256(0x00 || bytes): what the tree has of an entry. */
export function leafHash(bytes: Uint8Array): Buffer {
  return Buffer.from(leafText(bytes), 'latin1')
}

/** The leaf hashes of entries, one behind the other. */
export function leafHashes(entries: readonly Uint8Array[]): Buffer {
  const hashes = Buffer.allocUnsafeSlow(entries.length * HASH)
  for (const [i, bytes] of entries.entries()) writeLeafHash(hashes, i * HASH, bytes)
  return hashes
}

/** Puts the leaf hash of an entry into `hashes`. */
export function writeLeafHash(hashes: Buffer, at: number, bytes: Uint8Array): void {
  hashes.write(leafText(bytes), at, HASH, 'latin1')
}

/** SHA-256(0x01 || left || right) */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  pair.set(left, 1)
  pair.set(right, 1 + HASH)
  return Buffer.from(hash('sha256', pair, 'binary'), 'latin1')
}

/** The hash above each two of a row; the last one of an odd number has none. */
export function parentsOf(nodes: Uint8Array): Buffer {
  const parents = Buffer.allocUnsafeSlow(Math.floor(nodes.length / (2 * HASH)) * HASH)
  for (let at = 0; at < parents.length; at += HASH) {
    pair.set(nodes.subarray(2 * at, 2 * at + 2 * HASH), 1)
    parents.write(hash('sha256', pair, 'binary'), at, HASH, 'latin1')
  }
  return parents
}

/** The root of a complete subtree: of 1, 2, 4, … hashes. */
export function subtreeRoot(hashes: Uint8Array): Uint8Array {
  return hashes.length === HASH ? hashes : subtreeRoot(parentsOf(hashes))
}

/** The root of a tree whose complete subtrees have these roots, from left to right: RFC 6962 hangs the smaller ones right. */
export function foldSubtrees(roots: readonly Uint8Array[]): Uint8Array {
  if (roots.length === 0) return emptyRoot()
  return roots.reduceRight((right, left) => nodeHash(left, right))
}

/** Of a tree without leaves: the hash of nothing. */
export function emptyRoot(): Buffer {
  return Buffer.from(hash('sha256', '', 'binary'), 'latin1')
}

/** Whether hashes are equal. Nobody gains by timing this: they are public. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function leafText(bytes: Uint8Array): string {
  const message = bytes.length < scratch.length ? scratch.subarray(0, 1 + bytes.length) : Buffer.alloc(1 + bytes.length)
  message.set(bytes, 1) // in front of them stays a zero
  return hash('sha256', message, 'binary')
}
