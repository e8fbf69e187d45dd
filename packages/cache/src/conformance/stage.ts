import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tools } from '@keelson/kernel/conformance'
import { encodeKey, type Key } from '../key.ts'
import type {
  Bump,
  Bumped,
  CacheStore,
  CacheTier,
  Entry,
  Hit,
  Lease,
  Miss,
  ReadOptions,
  Ref,
  Stored,
} from '../store.ts'
import { implicitTags } from '../tag.ts'
import type { CacheStoreUnderTest } from './store-under-test.ts'

/** What must be alive lives an hour: no machine stands still that long. */
export const LONG_MS = 3_600_000
/** What must end ends soon, and is waited for; nothing depends on it being alive. */
export const SHORT_MS = 20
/** Time of the store in which what was promised has happened, on any machine. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 10
/** The scope of refs that name none. */
export const SCOPE = 'acme'

/** A load that has the lock. */
export interface Load {
  readonly ref: Ref
  readonly lease: Lease
  readonly node: string
}

/** What a case of a store works with. */
export interface Stage extends Tools {
  readonly store: CacheStore
  readonly under: CacheStoreUnderTest
  /** Of a cache that nobody else has. */
  readonly name: string
  readonly tier: CacheTier
  /** Another tier: of the same name unless told. It is closed when the case ends. */
  open(name?: string, o?: { maxTtlMs?: number; maxLoadMs?: number; leaseMs?: number }): CacheTier
  /** Called when the case ends. */
  defer(end: () => unknown): void
  elapse(ms: number): Promise<void>
  /** Looks while the store's time passes; fails when it does not come. */
  until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void>
  /** One read. By default it takes no lock. */
  read(ref: Ref, o?: Partial<ReadOptions>): Promise<Hit | Miss>
  /** Reads, and fails unless the lock is won. */
  load(ref: Ref, node?: string, o?: Partial<ReadOptions>): Promise<Load>
  /** Fills under the load's lease. */
  fill(load: Load, entry: Entry): Promise<boolean>
  /** Misses, loads and fills; what was stored. */
  filled(ref: Ref, more?: Partial<Entry>): Promise<Entry>
  /** Invalidates tags in SCOPE. */
  bump(...tags: string[]): Promise<Bump>
  expire(...tags: string[]): Promise<Bump>
  /** Fails unless exactly this entry is a hit. */
  isHit(ref: Ref, entry: Entry, why?: string): Promise<Hit>
  /** Fails unless it is a miss without anything that might be served. */
  isGone(ref: Ref, why?: string): Promise<Miss>
  /** Fails unless it is a miss with exactly this stale entry. */
  isStale(ref: Ref, entry: Entry, why?: string): Promise<Miss>
  /** Fails unless body or value are those of `entry`. */
  sameContent(stored: Stored, entry: Entry, why?: string): void
  /** What a load may store for this ref. */
  entry(ref: Ref, more?: Partial<Entry>): Entry
}

/** Sets the stage for one case, and clears it. */
export async function onStage(
  under: CacheStoreUnderTest,
  tools: Tools,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  const ends: (() => unknown)[] = []
  try {
    await run(stageOf(under, tools, (end) => ends.push(end)))
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

function stageOf(under: CacheStoreUnderTest, tools: Tools, defer: Stage['defer']): Stage {
  const { store, elapse = (ms: number) => sleep(ms) } = under
  const { ok, equal } = tools
  const name = someName()
  const keepsBodies = tools.has.includes('bodies')

  const contentOf = (fill: string): Pick<Entry, 'body' | 'value' | 'bytes'> =>
    keepsBodies ? { body: new TextEncoder().encode(`body of ${fill}`) } : { value: { of: fill }, bytes: 100 }

  const open: Stage['open'] = (of = name, o) => {
    const tier = store.open(of, { maxTtlMs: LONG_MS, maxLoadMs: LONG_MS, ...o })
    defer(() => tier.close?.())
    return tier
  }
  const tier = open()

  function sameContent(stored: Stored, entry: Entry, why = 'content'): void {
    if (entry.body === undefined) return equal(stored.value, entry.value, why)
    const { body } = stored
    ok(body instanceof Uint8Array, `${why}: a Uint8Array, not ${typeof body}`)
    equal(body!.length, entry.body.length, why)
    ok(Buffer.compare(body!, entry.body) === 0, `${why}: other bytes`)
  }

  function isEntry(stored: Stored, entry: Entry, why: string): void {
    equal(comparable(stored, entry), comparable(entry, entry), why)
    ok(stored.stamp !== '' && typeof stored.stamp === 'string', `${why}: a stamp`)
    sameContent(stored, entry, why)
  }

  const stage: Stage = {
    ...tools,
    store,
    under,
    name,
    tier,
    open,
    defer,
    elapse,
    async until(what, isSo) {
      for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
        if (await isSo()) return
        ok(waitedMs < PATIENCE_MS, `after ${PATIENCE_MS} ms of the store's time: ${what}`)
        await elapse(LOOK_EVERY_MS)
      }
    },
    async read(ref, o) {
      const answers = await tier.read([ref], { lockMs: 0, node: 'n0', body: true, ...o })
      equal(answers.length, 1, 'one answer for one ref')
      return answers[0]!
    },
    async load(ref, node = 'n0', o) {
      const miss = await stage.read(ref, { lockMs: LONG_MS, node, ...o })
      equal([miss.kind, miss.kind === 'miss' && miss.lock], ['miss', 'yours'], 'the lock')
      return { ref, lease: (miss as Miss).lease, node }
    },
    fill: async ({ ref, lease, node }, entry) => (await tier.fill(ref, lease, entry, node)).stored,
    async filled(ref, more) {
      const entry = stage.entry(ref, more)
      equal(await stage.fill(await stage.load(ref), entry), true, 'a fill that nothing speaks against')
      return entry
    },
    bump: (...tags) => tier.bump([{ scope: SCOPE, tags }], 'n0'),
    expire: (...tags) => tier.bump([{ scope: SCOPE, tags, soft: true }], 'n0'),
    async isHit(ref, entry, why = 'a hit') {
      const hit = await stage.read(ref)
      ok(hit.kind === 'hit', `${why}: it is a miss`)
      isEntry(hit as Hit, entry, why)
      return hit as Hit
    },
    async isGone(ref, why = 'nothing to serve') {
      const miss = await stage.read(ref)
      ok(miss.kind === 'miss', `${why}: it is a hit`)
      equal((miss as Miss).stale, undefined, why)
      return miss as Miss
    },
    async isStale(ref, entry, why = 'stale') {
      const miss = await stage.read(ref)
      ok(miss.kind === 'miss', `${why}: it is a hit`)
      const { stale } = miss as Miss
      ok(stale !== undefined, `${why}: there is nothing`)
      isEntry(stale!, entry, why)
      return miss as Miss
    },
    sameContent,
    entry: (ref, more = {}) => {
      const fill = randomBytes(9).toString('base64url')
      return {
        ...('value' in more ? {} : contentOf(fill)),
        codec: 'json',
        fill,
        ttlMs: LONG_MS,
        graceMs: 0,
        loadMs: 7,
        ...more,
        tags: [...ref.declared, ...(more.tags ?? [])],
      }
    },
  }
  return stage
}

/** Tags have no order, and a value no codec. */
function comparable({ codec, tags, fill, loadMs }: Stored | Entry, { body }: Entry): object {
  return { codec: body === undefined ? 'none' : codec, tags: tags.toSorted(), fill, loadMs }
}

/** A cache that nobody else has, on this server neither. */
export function someName(): string {
  return `c${randomBytes(8).toString('hex')}`
}

/** Texts, each two of which some database takes for one: by case, accents, spelling, blanks at an end, or length. */
export const LOOKALIKES: readonly string[] = [
  'Oslo',
  'oslo',
  'Oslo ',
  ' Oslo',
  'Osl\u00f3',
  'Oslo\u0301',
  `${'o'.repeat(100)}1`,
  `${'o'.repeat(100)}2`,
]

/** A ref with its implicit tags, and these. */
export function refOf(key: Key, tags: readonly string[] = [], scope: string = SCOPE): Ref {
  const encoded = encodeKey(key)
  return { scope, key: encoded, declared: [...implicitTags(key, encoded, 1), ...tags] }
}

/** An invalidation in SCOPE. */
export function bumped(...tags: string[]): Bumped {
  return { scope: SCOPE, tags }
}
