import { LRUCache } from 'lru-cache'
import type { Case, Contender } from '../../src/case.ts'
import { createL1 } from './l1.ts'
import { optimalHits } from './optimum.ts'
import { traces, type Trace } from './traces.ts'

const OURS = 'keelson L1'
const LRU = 'lru-cache'
const OPTIMUM = 'optimum'
const ENTRY = { value: 1, bytes: 1, tags: [], stamp: '', fill: '', loadMs: 1, storedMs: 0, endsMs: 1e12, goneMs: 1e12 }

/** How much of what is asked for is there, by what is kept. */
export function hitRates(): Case[] {
  return traces().map((trace) => ({
    name: `hit rate: ${trace.name}`,
    note: 'the optimum knows the future: of keys that are drawn by lot nobody else can',
    exact: true,
    contenders: [hitting(OURS, trace, ourHits), hitting(LRU, trace, lruHits), hitting(OPTIMUM, trace, optimalHits)],
    targets: [{ of: OURS, figure: 'hit %', minus: LRU, atLeast: -2 }],
  }))
}

type Hits = (keys: readonly number[], room: number) => number

function hitting(name: string, { keys, room }: Trace, hits: Hits): Contender {
  return { name, open: () => ({ run: () => ({ 'hit %': (100 * hits(keys, room)) / keys.length }) }) }
}

function ourHits(keys: readonly number[], room: number): number {
  const scope = createL1({ maxEntries: room, maxBytes: 1e9 }, { seed: 1 }).scope('bench')
  let hits = 0
  for (const each of keys) {
    const key = String(each)
    if (scope.get(key) === undefined) scope.put(key, scope.generation, ENTRY)
    else hits++
  }
  return hits
}

function lruHits(keys: readonly number[], room: number): number {
  const lru = new LRUCache<string, number>({ max: room })
  let hits = 0
  for (const each of keys) {
    const key = String(each)
    if (lru.get(key) === undefined) lru.set(key, 1)
    else hits++
  }
  return hits
}
