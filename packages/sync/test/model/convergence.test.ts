import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import {
  canonical,
  createSync,
  memoryStore,
  type Op,
  type OpResult,
  type Rec,
  type Sync,
  type SyncStore,
  type Win,
} from '@keelson/sync'
import { servers } from '../postgres/open-postgres.ts'
import { nextStamp, parseStamp, stampAfter, type Stamp } from '../../src/stamp.ts'

/*
 * Devices with wrong clocks over a network that loses requests and answers, repeats and delays them. Whatever happens:
 * once it is quiet they all have what the server has, each operation has counted once, and who saw what they overwrote wins.
 */

const HOUR = 3_600_000
const DRIFT = 60_000
const LONG = process.env['LONG'] === '1' ? 10 : 1
const IDS = ['t1', 't2', 't3']

interface Doc {
  team: string
  title: string
  done: number
}

/** Where a run takes place; its runs have scopes of their own. */
interface Place {
  readonly store: SyncStore
  now(): number
  wait(ms: number): unknown
}
const places: Record<string, { readonly runs: number; open(): Promise<Place> }> = {
  memory: {
    runs: 100,
    async open() {
      const clock = virtualClock({ now: Date.UTC(2026, 5, 1) })
      return { store: memoryStore({ clock }), now: () => clock.now(), wait: (ms) => clock.advance(ms) }
    },
  },
  Postgres: { runs: 40, open: async () => real((await opened(servers['Postgres']!())).store) },
  PGlite: { runs: 10, open: async () => real((await opened(servers['PGlite']!())).store) },
}
const real = (store: SyncStore): Place => ({ store, now: () => Date.now(), wait() {} })

const stack = new AsyncDisposableStack()
afterAll(() => stack.disposeAsync())
const opened = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => stack.use(await opening)
let runs = 0

class World {
  readonly place: Place
  readonly wins = new Map<string, number>()
  readonly sync: Sync
  readonly devices: Device[]
  /** What each person may see. */
  readonly teams: string[][]

  constructor(place: Place, skews: readonly number[]) {
    this.place = place
    const run = `run${++runs}`
    this.teams = skews.map(() => ['1', '2'])
    this.sync = createSync({
      store: place.store,
      storeTimeout: '30s',
      scopes: ({ principal }) => this.teams[Number(principal.id)]!.map((team) => `${run}:${team}`),
      collections: {
        task: {
          fields: { team: 'lww', title: 'lww', done: 'lww' },
          scope: ({ team }: Doc) => `${run}:${team}`,
          apply: async (_, wins: readonly Win<Doc>[]) => {
            for (const { op } of wins) this.wins.set(op, (this.wins.get(op) ?? 0) + 1)
          },
        },
      },
    })
    this.devices = skews.map((skewMs, i) => new Device(this, i, skewMs))
  }
}

class Device {
  readonly world: World
  readonly index: number
  readonly skewMs: number
  readonly records = new Map<string, Rec>()
  outbox: Op[] = []
  cursor: string | null = null
  client: string
  names = 0
  last: Stamp | undefined
  /** Of the snapshot that is being taken. */
  kept: Set<string> | undefined

  constructor(world: World, index: number, skewMs: number) {
    this.world = world
    this.index = index
    this.skewMs = skewMs
    this.client = `d${index}r${runs}x0`
  }

  get who() {
    return { principal: { id: String(this.index) } }
  }
  get nowMs(): number {
    return this.world.place.now() + this.skewMs
  }
  stamp(): Stamp {
    return (this.last = nextStamp(this.last, this.nowMs, this.client))
  }

  edit(id: string, t: Op['t'], set: Partial<Doc>): void {
    const known = [...this.records.values()].find((rec) => rec.id === id)
    const op = `${this.client}-${this.stamp()}`
    const more = known === undefined ? {} : { s: known.s, seen: known.h }
    this.outbox.push({ op, c: 'task', id, t, h: this.last!, ...(t === 'delete' ? {} : { set }), ...more })
  }

  async push(count: number, lost: 'nothing' | 'request' | 'answer', twice: boolean): Promise<void> {
    const ops = this.outbox.slice(0, count)
    if (ops.length === 0 || lost === 'request') return
    const request = { v: 1 as const, client: this.client, sentAt: this.nowMs, ops }
    const before = new Map(ops.map((op) => [op.op, this.world.wins.get(op.op)]))
    const { results, now } = await this.world.sync.push(this.who, request)
    for (const { h } of results) if (h) expect(parseStamp(h).ms).toBeLessThanOrEqual(now + DRIFT)
    if (twice) {
      const again = (await this.world.sync.push(this.who, request)).results
      for (const [i, { status }] of again.entries()) expect(status).toBe(results[i]!.status)
    }
    for (const { op } of ops) expect(this.world.wins.get(op) ?? 0).toBeLessThanOrEqual((before.get(op) ?? 0) + 1)
    if (lost === 'nothing') this.settle(results)
  }

  settle(results: readonly OpResult[]): void {
    const done = new Set(results.filter(({ status }) => status !== 'retry').map(({ op }) => op))
    this.outbox = this.outbox.filter(({ op }) => !done.has(op))
    for (const { h } of results)
      if (h !== undefined && (this.last === undefined || h > this.last)) this.last = stampAfter(h, 'x')
    if (!results.some(({ code }) => code === 'new-node')) return
    this.client = `d${this.index}r${runs}x${++this.names}`
    this.outbox = this.outbox.map((op) => ({ ...op, h: this.stamp() }))
  }

  async pull(limit: number, lost: boolean): Promise<boolean> {
    const page = await this.world.sync.pull(this.who, { v: 1, cursor: this.cursor, limit })
    if (lost) return true
    if (page.mode === 'snapshot') this.kept ??= new Set()
    for (const s of page.dropped ?? []) for (const [key, rec] of this.records) if (rec.s === s) this.records.delete(key)
    const { created = [], updated = [], deleted = [] } = page.changes['task'] ?? {}
    for (const { s, id } of deleted) this.records.delete(`${s} ${id}`)
    for (const rec of [...created, ...updated]) {
      this.records.set(`${rec.s} ${rec.id}`, rec)
      this.kept?.add(`${rec.s} ${rec.id}`)
    }
    if (!page.more && this.kept !== undefined) {
      for (const key of this.records.keys()) if (!this.kept.has(key)) this.records.delete(key)
      this.kept = undefined
    }
    this.cursor = page.cursor
    return page.more
  }

  get bytes(): string {
    const all = [...this.records].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return all.map(([key, { doc, h }]) => `${key} ${h} ${canonical(doc)}`).join('\n')
  }
}

type Step = (world: World) => unknown
/** A step that a counterexample names. */
const step = <A extends readonly unknown[]>(
  name: string,
  given: { readonly [K in keyof A]: fc.Arbitrary<A[K]> },
  run: (world: World, ...args: A) => unknown,
): fc.Arbitrary<Step> =>
  fc.tuple(...given).map((args) => {
    const text = `${name}(${JSON.stringify(args).slice(1, -1)})`
    return Object.assign((world: World) => run(world, ...(args as unknown as A)), { [fc.toStringMethod]: () => text })
  })

const device = fc.integer({ min: 0, max: 2 })
const id = fc.constantFrom(...IDS)
const doc = fc.record({
  team: fc.constantFrom('1', '2'),
  title: fc.constantFrom('a', 'b', 'c'),
  done: fc.integer({ max: 3, min: 0 }),
})
const field = fc.constantFrom<keyof Doc>('team', 'title', 'done')
const count = fc.integer({ min: 1, max: 4 })
const lost = fc.constantFrom<'nothing' | 'request' | 'answer'>('nothing', 'nothing', 'request', 'answer')
const teams = fc.subarray(['1', '2'], { minLength: 1 })

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: step('put', [device, id, doc], ({ devices }, d, i, set) => devices[d]!.edit(i, 'put', set)),
    },
    {
      weight: 6,
      arbitrary: step('patch', [device, id, field, doc], ({ devices }, d, i, name, set) =>
        devices[d]!.edit(i, 'patch', { [name]: set[name] }),
      ),
    },
    { weight: 2, arbitrary: step('delete', [device, id], ({ devices }, d, i) => devices[d]!.edit(i, 'delete', {})) },
    {
      weight: 8,
      arbitrary: step('push', [device, count, lost, fc.boolean()], ({ devices }, d, ...how) =>
        devices[d]!.push(...how),
      ),
    },
    {
      weight: 6,
      arbitrary: step('pull', [device, count, fc.boolean()], ({ devices }, d, ...how) => devices[d]!.pull(...how)),
    },
    { weight: 3, arbitrary: step('wait', [fc.integer({ min: 1, max: HOUR })], ({ place }, ms) => place.wait(ms)) },
    {
      weight: 2,
      arbitrary: step('server', [id, fc.constantFrom('1', '2'), doc], ({ sync }, i, team, { title }) =>
        sync.write([{ c: 'task', x: { t: 'patch', id: i, set: { title } }, scope: `run${runs}:${team}` }]),
      ),
    },
    { weight: 2, arbitrary: step('sees', [device, teams], (world, d, given) => void (world.teams[d] = given)) },
  ),
  { minLength: 20, maxLength: 80, size: 'max' },
)
const skews = fc.array(fc.integer({ min: -48 * HOUR, max: 48 * HOUR }), { minLength: 3, maxLength: 3 })

describe.each(Object.entries(places))('on %s', (_, { runs: numRuns, open }) => {
  let place: Place
  beforeAll(async () => {
    place = await open()
  })

  test('once it is quiet every device has what the server has, byte for byte', { timeout: 900_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(skews, steps, async (given, all) => {
        const world = new World(place, given)
        for (const one of all) await one(world)
        for (const each of world.devices) {
          for (let tries = 0; each.outbox.length > 0; tries++) {
            expect(tries).toBeLessThan(100)
            await each.push(each.outbox.length, 'nothing', false)
          }
        }
        for (const each of world.devices) {
          // The first may end what began long ago: up to where it began.
          for (let round = 0; round < 2; round++) while (await each.pull(2, false));
          const fresh = new Device(world, each.index, 0)
          while (await fresh.pull(100, false));
          expect(each.bytes).toBe(fresh.bytes)
          const allowed = new Set(world.teams[each.index])
          for (const { doc } of each.records.values()) expect(allowed).toContain(doc['team'])
        }
        for (const [op, count] of world.wins) expect([op, count]).toEqual([op, 1])
      }),
      { numRuns: numRuns * LONG },
    )
  })

  test('who saw what they overwrite wins, whatever their clock says', { timeout: 900_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        skews,
        fc.array(fc.tuple(device, id, doc), { minLength: 4, maxLength: 20, size: 'max' }),
        async (given, edits) => {
          const world = new World(place, given)
          for (const [d, i, set] of edits) {
            const each = world.devices[d]!
            while (await each.pull(100, false));
            const isThere = [...each.records.values()].some((rec) => rec.id === i)
            each.edit(i, isThere ? 'patch' : 'put', set)
            await each.push(1, 'nothing', false)
            // Once under another name, if its stamps went back.
            await each.push(1, 'nothing', false)
            while (await each.pull(100, false));
            expect([...each.records.values()].find((rec) => rec.id === i)?.doc).toEqual(set)
          }
        },
      ),
      { numRuns: numRuns * LONG },
    )
  })
})
