import { randomBytes } from 'node:crypto'
import type { CacheTier, DropLog, DropRow, Entry, Hit, Miss, Ref } from '@keelson/cache'
import { uuidv7, type Statement, type Tx } from '@keelson/kernel'
import { encodeKey } from '../../src/key.ts'
import { implicitTags } from '../../src/tag.ts'

/** Nothing here depends on time, unless it says so. */
export const LONG_MS = 3_600_000
export const LIMITS = { maxTtlMs: LONG_MS, maxLoadMs: LONG_MS }
const SCOPE = 'acme'
export const NAME = 'app'

export function refOf(key: string, tags: readonly string[] = []): Ref {
  const encoded = encodeKey(key)
  return { scope: SCOPE, key: encoded, declared: [...implicitTags(key, encoded, 1), ...tags] }
}

export function entryOf(ref: Ref, text: string, more: Partial<Entry> = {}): Entry {
  return {
    body: new TextEncoder().encode(text),
    codec: 'json',
    tags: ref.declared,
    fill: randomBytes(6).toString('base64url'),
    ttlMs: LONG_MS,
    graceMs: 0,
    loadMs: 1,
    ...more,
  }
}

/** Reads one ref, without a lock unless told. */
export async function read(tier: CacheTier, ref: Ref, lockMs = 0, node = 'n0'): Promise<Hit | Miss> {
  const [answer] = await tier.read([ref], { lockMs, node, body: true })
  return answer!
}

/** A load from its read on; `fill` ends it. */
export async function load(
  tier: CacheTier,
  ref: Ref,
  node = 'n0',
): Promise<{ fill(text?: string, more?: Partial<Entry>): Promise<boolean> }> {
  const answer = await read(tier, ref, LONG_MS, node)
  if (answer.kind === 'hit') throw new Error('this should have been a miss')
  return {
    fill: async (text = 'x', more = {}) => (await tier.fill(ref, answer.lease, entryOf(ref, text, more), node)).stored,
  }
}

/** A row of a log, and the statement of a transaction that drops it. */
export function dropRow(tag: string, more: Partial<DropRow> = {}): DropRow {
  return { id: uuidv7(), name: NAME, scope: SCOPE, tag, operation: 'op', ...more }
}

export async function drop(tx: Tx, log: DropLog, ...tags: string[]): Promise<void> {
  await send(tx, log.statement(tags.map((tag) => dropRow(tag))))
}

export async function send(tx: Tx, { text, values = [] }: Statement): Promise<void> {
  await tx.query(text, values)
}
