import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { checkOptions, opt } from '@keelson/kernel'
import { seededRandom } from '@keelson/kernel/testing'
import { optionFailure } from '../error.ts'

/** The rows behind the caches: a version a key, which only grows. */
export interface OracleTruth {
  /** The committed version. 0 of a key that was never written. */
  read(key: string): Promise<number>
  /** Commits the next version, and answers it. */
  advance(key: string): Promise<number>
}

/** What nodes load from and write to. */
export interface OracleSource {
  /** What a node's loader calls: the version at some moment of the call, which takes its time. */
  load(key: string): Promise<number>
  /** What a node's write calls first, unless it commits to the truth by itself. */
  advance(key: string): Promise<number>
}

/** One cache of several over one store, in this process or another. */
export interface OracleNode {
  /** The version, through the cache. */
  read(key: string): Promise<number>
  /** Commits the next version and invalidates. Resolves with it when that is acknowledged; rejects when it is not. */
  write(key: string): Promise<number>
}

/** How long and how hard. All optional. */
export interface OracleOptions {
  /** It ends after so many: 5,000. */
  readonly reads?: number
  /** And not before so many were acknowledged: 50. */
  readonly writes?: number
  /** 20. Some are read far more often than others. */
  readonly keys?: number
  /** At once, of each node: 8. */
  readonly readers?: number
  /** At once, over all nodes: 2. */
  readonly writers?: number
  /** About how many reads there are for a write: 25. */
  readonly readsPerWrite?: number
  /** The longest that a load takes, in ms: 6. */
  readonly maxLoadMs?: number
  /** How long after its acknowledgement a write may be missed, in ms, where staleness is bounded: 0. */
  readonly toleratedMs?: number
  /** Of keys, nodes and delays; default: a new one. Other processes keep their own order all the same. */
  readonly seed?: number
  /** Default: counters in this process. */
  readonly truth?: OracleTruth
  /** What is done to nodes and stores meanwhile. The oracle goes on until it has resolved; it rejects with it. */
  readonly during?: () => Promise<unknown>
}

/** A read that answered less than what was acknowledged before it began. */
export interface StaleRead {
  readonly node: number
  readonly key: string
  readonly got: number
  readonly acknowledged: number
  /** Since the oracle began, of the read's beginning and end; ms. */
  readonly fromMs: number
  readonly toMs: number
}

/** What was seen. */
export interface OracleReport {
  readonly seed: number
  readonly reads: number
  readonly loads: number
  readonly writes: number
  readonly stale: number
  /** The first ten. */
  readonly examples: readonly StaleRead[]
  /** Writes that were not acknowledged. */
  readonly refused: number
  /** Reads that rejected. A cache whose loader works rejects none. */
  readonly failed: number
  /** Why, of the first ten of both. */
  readonly errors: readonly string[]
}

const MAX_EXAMPLES = 10
/** A node that answers nothing but errors must not keep the machine busy. */
const AFTER_FAILURE_MS = 5

const OPTIONS = {
  reads: opt.integer(5_000, { min: 1 }),
  writes: opt.integer(50, { min: 0 }),
  keys: opt.integer(20, { min: 1 }),
  readers: opt.integer(8, { min: 1 }),
  writers: opt.integer(2, { min: 1 }),
  readsPerWrite: opt.integer(25, { min: 1 }),
  maxLoadMs: opt.integer(6, { min: 0 }),
  toleratedMs: opt.integer(0, { min: 0 }),
  seed: opt.custom<number>('an integer', Number.isInteger),
  truth: opt.port<OracleTruth>(['read', 'advance']),
  during: opt.fn<() => Promise<unknown>>(),
}

/**
 * Nodes that read and write the same keys at once, and a witness who knows what was acknowledged when: a read that
 * began after a write was acknowledged and answers an older version is stale. It asserts nothing: a good cache has
 * `stale` and `failed` 0, and far fewer `loads` than `reads`, for a cache that never hits is never stale.
 * @throws CacheError OPTION_INVALID
 */
export async function oracle(
  makeNodes: (source: OracleSource) => Promise<readonly OracleNode[]>,
  o: OracleOptions = {},
): Promise<OracleReport> {
  const options = checkOptions('oracle', o, OPTIONS, optionFailure)
  const { reads: minReads, writes: minWrites, keys, readers, writers, readsPerWrite, maxLoadMs } = options
  const { toleratedMs, during, seed = Math.floor(Math.random() * 2 ** 31), truth = countersOf() } = options
  const random = seededRandom(seed)
  const beganMs = performance.now()
  const elapsedMs = (): number => Math.round(performance.now() - beganMs)
  /** Squared: the first keys are hot. */
  const anyKey = (): string => `k${Math.floor(random() ** 2 * keys)}`
  const acknowledged = new Map<string, number>()
  const seen = { reads: 0, loads: 0, writes: 0, stale: 0, refused: 0, failed: 0 }
  const examples: StaleRead[] = []
  const errors: string[] = []
  const run = { isOver: false }

  const source: OracleSource = {
    async load(key) {
      seen.loads++
      await sleep(random() * maxLoadMs)
      const version = await truth.read(key)
      await sleep(random() * maxLoadMs)
      return version
    },
    advance: (key) => truth.advance(key),
  }
  const nodes = await makeNodes(source)

  function acknowledge(key: string, version: number): void {
    acknowledged.set(key, Math.max(version, acknowledged.get(key) ?? 0))
  }

  async function failed(error: unknown): Promise<void> {
    if (errors.length < MAX_EXAMPLES) errors.push(String(error))
    await sleep(AFTER_FAILURE_MS)
  }

  async function reader(at: number): Promise<void> {
    while (!run.isOver) {
      // A hit may take no turn of the loop, and nobody else would have one.
      await turn()
      const key = anyKey()
      const least = acknowledged.get(key) ?? 0
      const fromMs = elapsedMs()
      try {
        const got = await nodes[at]!.read(key)
        seen.reads++
        if (got >= least) continue
        seen.stale++
        if (examples.length < MAX_EXAMPLES) {
          examples.push({ node: at, key, got, acknowledged: least, fromMs, toMs: elapsedMs() })
        }
      } catch (error) {
        seen.failed++
        await failed(error)
      }
    }
  }

  async function writer(): Promise<void> {
    while (!run.isOver) {
      const key = anyKey()
      const node = nodes[Math.floor(random() * nodes.length)]!
      try {
        const version = await node.write(key)
        seen.writes++
        if (toleratedMs === 0) acknowledge(key, version)
        else setTimeout(acknowledge, toleratedMs, key, version).unref()
      } catch (error) {
        seen.refused++
        await failed(error)
      }
      const next = seen.reads + random() * 2 * readsPerWrite * writers
      while (!run.isOver && seen.reads < next) await sleep(1)
    }
  }

  async function end(): Promise<void> {
    try {
      await during?.()
      while (seen.reads < minReads || seen.writes < minWrites) await sleep(1)
    } finally {
      run.isOver = true
    }
  }

  await Promise.all([
    end(),
    ...nodes.flatMap((_, at) => Array.from({ length: readers }, () => reader(at))),
    ...Array.from({ length: writers }, writer),
  ])
  return { seed, ...seen, examples, errors }
}

function countersOf(): OracleTruth {
  const versions = new Map<string, number>()
  return {
    read: async (key) => versions.get(key) ?? 0,
    async advance(key) {
      const version = (versions.get(key) ?? 0) + 1
      versions.set(key, version)
      return version
    },
  }
}
