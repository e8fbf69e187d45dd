import type { PullResponse } from '../wire.ts'
import { seeing, type Meta } from './meta.ts'
import { docOf } from './overlay.ts'
import { isPending, opEntry, recEntry, recKey, type Replica, type Step } from './replica.ts'

/**
 * What a page makes of a replica: what it says and its cursor, at once. Nothing outside is changed.
 * @param asked what it was asked for with: another tab may have been faster, or have signed out; and the last push in
 * front of its first page, which all of its pages have
 */
export function takePage(
  replica: Replica,
  meta: Meta,
  asked: Pick<Meta, 'client' | 'cursor' | 'pushes'>,
  page: PullResponse,
): Step {
  if (meta.cursor !== asked.cursor || meta.client !== asked.client) return {}
  const entries = new Map<string, unknown>()
  const isSnapshot = page.mode === 'snapshot'
  // A snapshot that begins has a number of its own: behind its last page what has an older one was not in it.
  const g = isSnapshot && asked.cursor === null ? meta.g + 1 : meta.g
  const strict: Record<string, boolean> = { ...meta.strict }
  const stamps: string[] = []
  for (const s of page.dropped ?? []) forget(s)
  for (const [c, { created, updated, deleted }] of Object.entries(page.changes)) {
    for (const { id, s, h } of deleted) {
      stamps.push(h)
      entries.set(recKey(c, id, ''), undefined)
      // Also of what is newer here: an edit that brought it back, or followed it elsewhere, is told on a later page.
      entries.set(recKey(c, id, s), undefined)
    }
    for (const rec of [...created, ...updated]) {
      stamps.push(rec.h)
      strict[c] = rec.hs !== undefined
      entries.set(recKey(c, rec.id, ''), undefined)
      const key = recKey(c, rec.id, rec.s)
      entries.set(...(isNewer(key, rec.h) ? ([key, replica.recs.get(key)] as const) : recEntry({ ...rec, c, g })))
    }
  }
  if (!page.more) {
    for (const [key, { g: its, push = Infinity }] of replica.recs) {
      const isGone = push <= asked.pushes || (isSnapshot && its !== g)
      if (isGone && !entries.has(key)) entries.set(key, undefined)
    }
  }
  return { entries: [...entries], meta: { ...seeing(meta, stamps), g, strict, cursor: page.cursor, more: page.more } }

  /** An own edit came in between; a later page has it. Behind a restored server nothing is newer than what it says. */
  function isNewer(key: string, h: string): boolean {
    const held = replica.recs.get(key)
    return !isSnapshot && held !== undefined && held.h > h
  }

  function forget(s: string): void {
    for (const [key, rec] of replica.recs) if (rec.s === s) entries.set(key, undefined)
    for (const one of replica.ops.values()) {
      if (one.op.s !== s || !isPending(one)) continue
      const mine = docOf(replica, one.op.c, one.op.id) ?? null
      entries.set(
        ...opEntry({
          ...one,
          issue: { result: { op: one.op.op, status: 'conflict', code: 'scope-lost' }, mine, theirs: null },
        }),
      )
    }
  }
}

/** Records that it tells of. */
export function sizeOf({ changes }: PullResponse): number {
  return Object.values(changes).reduce(
    (sum, one) => sum + one.created.length + one.updated.length + one.deleted.length,
    0,
  )
}
