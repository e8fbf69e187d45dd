import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { transact } from '@keelson/kernel/postgres'
import { expect } from 'vitest'
import { createCache, keyOf, memoryStore, prefix, type Cache, type Caches, type CacheStore } from '@keelson/cache'
import { goodLogSteps, logOfSteps } from '../../src/conformance/log-of-steps.ts'
import { goodSteps, storeOfSteps } from '../../src/conformance/store-of-steps.ts'
import { settled } from '../leased.ts'
import { openLine, type Fault, type Line } from './line.ts'

export type Step =
  | { kind: 'read'; node: number; key: number; how: 'getOrSet' | 'get' | 'peek' | 'at' | 'many'; loadMs: number }
  | { kind: 'write'; node: number; key: number; how: 'tag' | 'key' | 'prefix' | 'scope' | 'all' }
  | { kind: 'drop'; node: number; key: number; end: 'commit' | 'rollback' | 'die' }
  | { kind: 'soft'; node: number; key: number }
  | { kind: 'line'; node: number; fault: Fault }
  | { kind: 'lag'; node: number; ms: number }
  | { kind: 'pause' | 'restart' | 'crash'; node: number }
  | { kind: 'lose'; what: 'state' | 'members' | 'all'; cut: boolean }
  | { kind: 'elapse'; ms: number }

export interface Scenario {
  readonly tier: 'memory' | 'leased'
  readonly coherence: 'strong' | 'bounded'
  /** Of each node: how late it hears. */
  readonly lagsMs: readonly number[]
  readonly steps: readonly Step[]
}

const LEASE_MS = 300
const STORE_TIMEOUT_MS = 100
/** Of every promise, once nothing is broken or paused: lock, lease, timeout and load come one after another at worst. */
const SETTLES_MS = 5_000
const STEP_MS = 10
const MAX_ENTRIES = 5
const SCOPES = ['acme', 'other']
const ROWS = 3

interface Value {
  readonly scope: string
  readonly row: number
  readonly version: number
}

interface Node {
  readonly caches: Caches
  readonly line: Line
}

/** One row of the business database, and what of it was acknowledged when. */
interface Row {
  version: number
  readonly acked: { version: number; atMs: number; stamp: string }[]
}

/** Plays a scenario; fails at the first read that is older than what was acknowledged before it began. */
export async function play({ tier, coherence, lagsMs, steps }: Scenario): Promise<{ reads: number; loads: number }> {
  const clock = virtualClock()
  const server = storeOfSteps(goodSteps, clock)
  const log = logOfSteps(goodLogSteps, clock)
  const shared = memoryStore({ clock })
  const rows = new Map<string, Row>()
  const open = new Set<{ what: string; sinceMs: number }>()
  const failures: unknown[] = []
  const dead: Node[] = []
  let reads = 0
  let loads = 0

  function row(scope: string, key: number): Row {
    const name = `${scope} ${key}`
    const known = rows.get(name) ?? { version: 0, acked: [] }
    rows.set(name, known)
    return known
  }

  function newNode(lagMs: number): Node {
    const line = openLine(clock, lagMs)
    const store: CacheStore =
      tier === 'memory' ? shared : { kind: 'redis', open: (name, o) => line.tier(server.store.open(name, o)) }
    const caches = createCache({
      name: 'model',
      store,
      ...(tier === 'memory' ? {} : { log: line.log(log.log) }),
      coherence,
      clock: line.clock,
      lease: LEASE_MS,
      storeTimeout: STORE_TIMEOUT_MS,
      lockTtl: 500,
      ttl: '2s',
      grace: '1s',
      l1: { maxEntries: MAX_ENTRIES },
    })
    void caches.start()
    return { caches, line }
  }

  /** Notes what fails, and what never ends. */
  function track(what: string, work: Promise<unknown>, node: Node): void {
    const one = { what, sinceMs: clock.monotonic() }
    open.add(one)
    work
      .catch((error: unknown) => {
        if (!dead.includes(node)) failures.push(error)
      })
      .finally(() => open.delete(one))
  }

  const keyAt = (key: number) => ['row', key % ROWS] as const
  const scopeAt = (key: number): string => SCOPES[Math.trunc(key / ROWS) % SCOPES.length]!

  /** What a reader that begins now must know of. */
  function floorOf(scope: string, key: number, exact: boolean): number {
    const sinceMs = coherence === 'strong' || exact ? Infinity : clock.monotonic() - LEASE_MS
    return Math.max(
      0,
      ...row(scope, key)
        .acked.filter(({ atMs }) => atMs <= sinceMs)
        .map(({ version }) => version),
    )
  }

  function check(found: unknown, scope: string, key: number, floor: number): void {
    reads++
    if (found === undefined) return
    const value = found as Value
    expect(Object.isFrozen(value)).toBe(true)
    expect({ scope: value.scope, row: value.row }).toEqual({ scope, row: key })
    expect(value.version, `a read of ${scope} ${key} at ${clock.monotonic()} ms`).toBeGreaterThanOrEqual(floor)
  }

  async function load(scope: string, key: number, ms: number, node: Node): Promise<Value> {
    loads++
    // Read at once, answered late.
    const value = { scope, row: key, version: row(scope, key).version }
    await node.line.clock.sleep(ms)
    return value
  }

  async function read(node: Node, { key: at, how, loadMs }: Step & { kind: 'read' }): Promise<void> {
    const scope = scopeAt(at)
    const key = at % ROWS
    const cache = node.caches.scope(scope)
    // Of a drop only its transaction was answered: there is no stamp to read at.
    const stamp = how === 'at' ? (row(scope, key).acked.at(-1)?.stamp ?? '') : ''
    const floor = floorOf(scope, key, stamp !== '')
    const reader: Cache = stamp === '' ? cache : cache.at(stamp)
    const o = { tags: [`row:${key}`, 'rows'] }
    if (how === 'peek') return check(cache.peek(keyAt(key)), scope, key, floor)
    if (how === 'get') return check(await cache.get(keyAt(key)), scope, key, floor)
    if (how === 'many') {
      const floors = Array.from({ length: ROWS }, (_, each) => floorOf(scope, each, false))
      const found = await cache.getMany(floors.map((_, each) => keyAt(each)))
      for (const [each, value] of found.entries()) check(value, scope, each, floors[each]!)
      return
    }
    check(await reader.getOrSet(keyAt(key), () => load(scope, key, loadMs, node), o), scope, key, floor)
  }

  /** All rows that this invalidation is of. */
  function written(scope: string, key: number, how: (Step & { kind: 'write' })['how']): [string, number][] {
    const keys = [...Array(ROWS).keys()]
    if (how === 'all') return SCOPES.flatMap((each) => keys.map((one): [string, number] => [each, one]))
    return how === 'tag' || how === 'key' ? [[scope, key]] : keys.map((one) => [scope, one])
  }

  async function write(node: Node, { key: at, how }: Step & { kind: 'write' }): Promise<void> {
    const scope = scopeAt(at)
    const key = at % ROWS
    const cache = node.caches.scope(scope)
    const versions = written(scope, key, how).map(([of, one]) => [row(of, one), ++row(of, one).version] as const)
    try {
      const { stamp } = await {
        tag: () => cache.invalidate(`row:${key}`),
        key: () => cache.invalidate(keyOf(keyAt(key))),
        prefix: () => cache.invalidate(prefix('row')),
        scope: () => cache.clear(),
        all: () => node.caches.clear(),
      }[how]()
      for (const [of, version] of versions) of.acked.push({ version, atMs: clock.monotonic(), stamp })
    } catch (error) {
      expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    }
  }

  /** A unit of work; of an author that dies nobody has an answer. */
  async function drop(node: Node, { key: at, end }: Step & { kind: 'drop' }): Promise<void> {
    const scope = scopeAt(at)
    const key = at % ROWS
    const effect = node.caches.scope(scope).drop(`row:${key}`)
    let version = 0
    const commit = (): number => (version = ++row(scope, key).version)
    if (end === 'rollback') {
      const unit = transact(log.db, async () => {
        throw new Error('rolled back')
      })
      return void (await unit.catch(() => {}))
    }
    if (end === 'die') {
      await log.db.transaction(async (tx) => {
        for (const { text, values } of effect.statements!({ operationId: 'dies', now: 0 })) {
          await tx.query(text, values)
        }
        commit()
      })
      return
    }
    await transact(log.db, async () => (commit(), { value: 1, effects: [effect] }), { clock, afterCommitTimeout: '1h' })
    // Owed: answered, and paid by whoever can.
    if (node.line.fault === 'none' && (await node.caches.inspect()).owed.tags === 0) {
      row(scope, key).acked.push({ version, atMs: clock.monotonic(), stamp: '' })
    }
  }

  /** In small steps: messages take turns of the event loop, not time. */
  async function elapse(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      await settled(6)
      await clock.advance(Math.min(STEP_MS, leftMs))
    }
    await settled(6)
  }

  const nodes = lagsMs.map(newNode)
  // The first invalidation of all waits for members that the store may have forgotten.
  await elapse(LEASE_MS)

  async function step(each: Step): Promise<void> {
    if (each.kind === 'elapse') return elapse(each.ms)
    if (each.kind === 'lose') {
      if (tier === 'memory') return
      await server.lose('model', each.what)
      if (each.cut) await server.cut()
      return
    }
    const at = each.node % nodes.length
    const node = nodes[at]!
    if (each.kind === 'pause') return void (tier === 'leased' && node.line.pause())
    if (each.kind === 'line') return void (tier === 'leased' && node.line.break(each.fault))
    if (each.kind === 'lag') return void (node.line.lagMs = each.ms)
    if (each.kind === 'crash') {
      node.line.kill()
      dead.push(node)
      nodes[at] = newNode(0)
      return
    }
    if (node.line.paused) {
      // It wakes into this very call: what was sent meanwhile is heard behind it.
      queueMicrotask(() => node.line.resume())
    }
    if (each.kind === 'read') track('read', read(node, each), node)
    else if (each.kind === 'write') track('write', write(node, each), node)
    else if (each.kind === 'drop') {
      if (tier === 'leased') track('drop', drop(node, each), node)
    } else if (each.kind === 'soft') {
      const soft = node.caches.scope(scopeAt(each.key)).expire('rows')
      track(
        'soft',
        soft.catch(() => {}),
        node,
      )
    } else {
      track('stop', node.caches.stop({ drain: 50 }), node)
      track('start', node.caches.start(), node)
    }
  }

  for (const each of steps) {
    await step(each)
    if (failures.length > 0) throw failures[0]
  }
  for (const { line } of nodes) line.heal()
  await elapse(SETTLES_MS)
  if (failures.length > 0) throw failures[0]
  const hanging = [...open].map(({ what, sinceMs }) => `${what} since ${sinceMs} ms`)
  if (dead.length === 0) expect(hanging).toEqual([])
  // What was committed is known to everybody, whoever died.
  for (const node of nodes) {
    const { l1, owed } = await node.caches.inspect()
    expect(l1.entries).toBeLessThanOrEqual(MAX_ENTRIES)
    expect(owed.tags).toBe(0)
    for (const scope of SCOPES) {
      for (let key = 0; key < ROWS; key++) {
        const { version } = row(scope, key)
        const found = node.caches.scope(scope).getOrSet(keyAt(key), async () => ({ scope, row: key, version }))
        const ends = settledOn(clock, found)
        expect((await ends).version, 'when all is healed').toBe(version)
      }
    }
  }
  expect(await log.log.backlog('model')).toMatchObject({ rows: 0 })
  for (const { caches, line } of [...nodes, ...dead]) {
    line.heal()
    await settledOn(clock, caches.close())
  }
  return { reads, loads }
}

/** Time goes on for as long as it takes. */
async function settledOn<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => void (isOver = true)
  work.then(over, over)
  for (let i = 0; i < 1_000; i++) {
    await settled(6)
    if (isOver) return work
    await clock.advance(10)
  }
  throw new Error('it does not end')
}
