import type { Case } from '@keelson/kernel/conformance'
import type { Hit, Lease, Miss, Ref } from '../../store.ts'
import { LONG_MS, refOf } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

const RUNS = 6
const STEPS = 60
const TAGS = ['t1', 't2', 't3']
const NODES = ['n0', 'n1', 'n2']

/** The rule in whole numbers: time is the count of invalidations. */
interface Model {
  now: number
  /** By tag: when it was last invalidated, and when softly. */
  readonly hard: Map<string, number>
  readonly soft: Map<string, number>
  readonly entries: Map<string, { fill: string; stamp: number; tags: readonly string[]; graced: boolean }>
  readonly locks: Map<string, Right>
}

interface Right {
  readonly ref: Ref
  readonly lease: Lease
  readonly node: string
  readonly stamp: number
}

/** Random steps on a few refs, compared with the model after each of them. */
export const modelCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('whatever the order of steps, the store answers as the rule does', async (stage) => {
    const { random, equal, ok, open, name } = stage
    const any = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
    for (let run = 0; run < RUNS; run++) {
      const tier = open(`${name.slice(0, -1)}${run}`)
      const refs = [refOf(['a', 1], ['t1']), refOf(['a', 2], ['t2']), refOf('a')]
      const model: Model = { now: 0, hard: new Map(), soft: new Map(), entries: new Map(), locks: new Map() }
      const rights: Right[] = []
      const done: string[] = []
      const moved = (of: Map<string, number>, tags: readonly string[], stamp: number): boolean =>
        tags.some((tag) => (of.get(tag) ?? -1) > stamp)
      const stateOf = (ref: Ref): 'fresh' | 'stale' | 'gone' => {
        const entry = model.entries.get(ref.key)
        if (entry === undefined || moved(model.hard, entry.tags, entry.stamp)) return 'gone'
        if (!moved(model.soft, entry.tags, entry.stamp)) return 'fresh'
        return entry.graced ? 'stale' : 'gone'
      }

      /** Whether the end of another load of the same node frees a lock is the store's to say: here it is freed for sure. */
      const released = async ({ ref, node }: Right): Promise<void> => {
        const lock = model.locks.get(ref.key)
        if (lock?.node !== node) return
        await tier.unlock(ref, lock.lease, node)
        model.locks.delete(ref.key)
      }

      for (let step = 0; step < STEPS; step++) {
        const ref = any(refs)
        const node = any(NODES)
        const why = (): string => `run ${run}: ${done.join(', ')}`
        const chance = random()
        if (chance < 0.45) {
          const [lockMs, refresh] = [random() < 0.7 ? LONG_MS : 0, random() < 0.2]
          const [answer] = await tier.read([ref], { lockMs, node, body: true, refresh })
          done.push(`${node} reads ${ref.key}${refresh ? ' to refresh' : ''}${lockMs === 0 ? ' without a lock' : ''}`)
          const state = stateOf(ref)
          if (state === 'fresh' && !refresh) {
            equal([answer!.kind, (answer as Hit).fill], ['hit', model.entries.get(ref.key)!.fill], why())
            continue
          }
          const held = model.locks.get(ref.key)
          const free = held === undefined || moved(model.hard, ref.declared, held.stamp)
          const soft = held !== undefined && moved(model.soft, ref.declared, held.stamp)
          const stale = state === 'gone' ? undefined : model.entries.get(ref.key)!.fill
          const miss = answer as Miss
          equal([miss.kind, miss.stale?.fill], ['miss', stale], why())
          // Whether a lock is taken over because a tag was expired softly is the store's to say.
          const lock = lockMs === 0 ? 'none' : free ? 'yours' : soft ? miss.lock : 'held'
          equal(miss.lock, lock, why())
          const right = { ref, lease: miss.lease, node, stamp: model.now }
          if (miss.lock === 'yours') model.locks.set(ref.key, right)
          rights.push(right)
        } else if (chance < 0.7 && rights.length > 0) {
          const right = any(rights)
          const made = stage.entry(right.ref, { tags: [any(TAGS)], graceMs: random() < 0.5 ? LONG_MS : 0 })
          const { stored } = await tier.fill(right.ref, right.lease, made, right.node)
          done.push(`${right.node} fills ${right.ref.key} of ${right.stamp} with ${made.tags.at(-1)}`)
          const there = model.entries.get(right.ref.key)
          const valid = stateOf(right.ref) !== 'gone'
          if (moved(model.hard, made.tags, right.stamp)) equal(stored, false, why())
          else if (valid && there!.stamp > right.stamp) equal(stored, false, why())
          else if (there === undefined && !moved(model.soft, made.tags, right.stamp)) equal(stored, true, why())
          else if (!moved(model.soft, made.tags, right.stamp) && there!.stamp < right.stamp) equal(stored, true, why())
          // Else the store may say: of two of one stamp, of one that was expired softly, of one that is newer and gone.
          if (stored) {
            const { fill, tags, graceMs } = made
            model.entries.set(right.ref.key, { fill, stamp: right.stamp, tags, graced: graceMs > 0 })
          }
          await released(right)
        } else if (chance < 0.85) {
          const tags = random() < 0.7 ? [any(TAGS)] : [any(refs).declared[0]!]
          const soft = random() < 0.3
          await tier.bump([{ scope: ref.scope, tags, ...(soft ? { soft } : {}) }], node)
          done.push(`${node} ${soft ? 'expires' : 'bumps'} ${tags[0]}`)
          model.now++
          ;(soft ? model.soft : model.hard).set(tags[0]!, model.now)
        } else if (chance < 0.93) {
          const made = stage.entry(ref, { tags: [any(TAGS)], graceMs: LONG_MS })
          await tier.put(ref, made, node)
          done.push(`${node} puts ${ref.key} with ${made.tags.at(-1)}`)
          model.now++
          model.hard.set(ref.declared[0]!, model.now)
          model.entries.set(ref.key, { fill: made.fill, stamp: model.now, tags: made.tags, graced: true })
        } else if (rights.length > 0) {
          const right = any(rights)
          await tier.unlock(right.ref, right.lease, right.node)
          done.push(`${right.node} unlocks ${right.ref.key} of ${right.stamp}`)
          await released(right)
        }
      }
      ok(done.length > 0, 'it did something')
    }
  }),
]
