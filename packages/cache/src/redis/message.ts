import type { Bumped } from '../store.ts'

/**
 * What is published. A script writes 'b' (an invalidation) with the stamp of the message before it in front, so that a
 * gap shows, and 'm' (the marker of a renewal) with that of the last one; nodes write 'a' (an ack); 'f' says that an
 * entry was filled or its lock released.
 */
export type Message =
  | { readonly kind: 'bump'; readonly after: string; readonly stamp: string; readonly from: string; list: Bumped[] }
  | { readonly kind: 'marker'; readonly id: string; readonly epoch: string; readonly after: string }
  | { readonly kind: 'ack'; readonly stamp: string; readonly node: string }
  | { readonly kind: 'filled'; readonly scope: string; readonly key: string }

/** What a script publishes behind the stamps of a bump. */
export function bumpText(from: string, list: readonly Bumped[]): string {
  return JSON.stringify([from, list])
}

export function filledText(scope: string, key: string): string {
  return `f${JSON.stringify([scope, key])}`
}

export function ackText(stamp: string, node: string): string {
  return `a${stamp} ${node}`
}

/** Undefined of what nobody of us has written: who misses a message by that is told by the next one. */
export function parseMessage(bytes: Buffer): Message | undefined {
  const text = bytes.toString('utf8', 1)
  const [first = '', second = '', rest = ''] = wordsOf(text)
  try {
    switch (String.fromCodePoint(bytes[0] ?? 0)) {
      case 'b': {
        const [from, list] = JSON.parse(rest) as [string, Bumped[]]
        return { kind: 'bump', after: first, stamp: second, from, list }
      }
      case 'm':
        return { kind: 'marker', id: first, epoch: second, after: rest }
      case 'a':
        return { kind: 'ack', stamp: text.slice(0, text.indexOf(' ')), node: text.slice(text.indexOf(' ') + 1) }
      case 'f': {
        const [scope, key] = JSON.parse(text) as [string, string]
        return { kind: 'filled', scope, key }
      }
      default:
        return undefined
    }
  } catch {
    return undefined
  }
}

/** Two words, and all that follows. */
function wordsOf(text: string): string[] {
  return /^(\S*) (\S*) (.*)$/s.exec(text)?.slice(1) ?? []
}
