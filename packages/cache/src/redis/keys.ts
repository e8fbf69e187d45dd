import type { Ref } from '../store.ts'

/** The names of what one tier keeps in Redis, all in one Cluster slot. */
export interface RedisKeys {
  /** Hash: epoch, clock, floor, and the stamp of each tag. */
  readonly state: string
  /** Sorted set: members by the end of their lease. */
  readonly members: string
  /** The channel of all members, and those of one each. */
  readonly channel: string
  channelOf(node: string): string
  entry(ref: Ref): string
  lock(ref: Ref): string
  /** The pattern of SCAN for entries, of all scopes unless told. */
  entries(scope?: string): string
  /** The scope's field part, of an entry's key. */
  scopeOf(entryKey: string): string
}

/** Nothing of a name is elsewhere: `slots` is 1 in this release. */
const SLOT = 0

export function redisKeys(prefix: string, name: string): RedisKeys {
  const base = `${prefix}:{${name}.${SLOT}}:`
  return {
    state: `${base}s`,
    members: `${base}n`,
    channel: `${base}c`,
    channelOf: (node) => `${base}c:${node}`,
    entry: ({ scope, key }) => `${base}e:${scopePart(scope)}${key}`,
    lock: ({ scope, key }) => `${base}l:${scopePart(scope)}${key}`,
    entries: (scope) => `${escapeGlob(`${base}e:${scope === undefined ? '' : scopePart(scope)}`)}*`,
    scopeOf(entryKey) {
      const rest = entryKey.slice(base.length + 2)
      const colon = rest.indexOf(':')
      return rest.slice(0, colon + 1 + Number(rest.slice(0, colon)))
    },
  }
}

/** In front of a key or a tag; its length keeps it apart from what follows, whatever that is. */
export function scopePart(scope: string): string {
  return `${scope.length}:${scope}`
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)
}
