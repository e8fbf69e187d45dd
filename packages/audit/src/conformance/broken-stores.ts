import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '../memory.ts'
import { matches } from '../memory/matches.ts'
import type { AuditStore, CursorClaim, DeadRow, DeadRows, Row, SealedRow, Search } from '../store.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** Methods that are other than they should be. */
type Changes = Partial<Omit<AuditStore, 'deadLetters'>> & { readonly deadLetters?: Partial<DeadRows> }
type Fault = (store: AuditStore, clock: VirtualClock) => Changes

/** Rows that are written wrongly. */
const writes =
  (wrong: (rows: readonly Row[]) => readonly Row[]): Fault =>
  (store) => ({ append: async (log, rows, tx) => store.append(log, wrong(rows), tx) })

/** A search that forgets or changes what it was asked. */
const searches =
  (wrong: (q: Search) => Search): Fault =>
  (store) => ({ search: async (log, q) => store.search(log, wrong(q)) })

/** Rows that are read wrongly, wherever. */
const reads =
  (wrong: (row: SealedRow) => SealedRow): Fault =>
  (store) => ({
    read: async (log, from, bounds) => (await store.read(log, from, bounds)).map(wrong),
    async find(log, id) {
      const found = await store.find(log, id)
      return found === null ? null : wrong(found)
    },
  })

const claims =
  (wrong: (claim: CursorClaim | null) => CursorClaim | null): Fault =>
  (store) => ({ claim: async (...given) => wrong(await store.claim(...given)) })

function without(name: keyof Search): Fault {
  return searches((q) => Object.fromEntries(Object.entries(q).filter(([key]) => key !== name)) as unknown as Search)
}

/** A search that finds nothing by this. */
const blindFor =
  (name: keyof Search): Fault =>
  (store) => ({ search: async (log, q) => (q[name] === undefined ? store.search(log, q) : []) })

const anyCase = (text: string): string => text.toLowerCase()
const unpadded = (text: string): string => text.trimEnd()
const unaccented = (text: string): string => text.normalize('NFD').replaceAll(/\p{M}/gu, '')
const cut = (text: string): string => text.slice(0, 100)

/** A search by `name` to which texts are one that `as` makes one. */
const collates =
  (name: keyof Search, as: (text: string) => string): Fault =>
  (store) => ({
    async search(log, q) {
      const wide = { ...q, [name]: name === 'scope' ? null : undefined, limit: 1_000 }
      const one = folded({ scope: null, [name]: q[name] }, as) as unknown as Search
      const rows = await store.search(log, wide)
      return rows.filter(({ leaf }) => matches(folded(leaf, as), one)).slice(0, q.limit)
    },
  })

function folded<T>(value: T, as: (text: string) => string): T {
  return JSON.parse(JSON.stringify(value), (_, each) => (typeof each === 'string' ? as(each) : each)) as T
}

/** One fault each; the name says what is wrong. */
const faults: Record<string, Fault> = {
  // Appending.
  'all but the first of an append is lost': writes((rows) => rows.slice(0, 1)),
  'an append is in reverse': writes((rows) => rows.toReversed()),
  'bytes are the caller’s own': (store) => {
    const given = new Map<string, Uint8Array>()
    return {
      async append(log, rows, tx) {
        await store.append(log, rows, tx)
        for (const row of rows) given.set(row.id, row.bytes)
      },
      read: async (log, from, bounds) =>
        (await store.read(log, from, bounds)).map((row) => ({ ...row, bytes: given.get(row.leaf.id) ?? row.bytes })),
    }
  },
  'a known id is refused even with the same bytes': (store) => {
    const known = new Set<string>()
    return {
      async append(log, rows, tx) {
        if (rows.some(({ id }) => known.has(id))) throw Object.assign(new Error('known'), { code: 'ENTRY_INVALID' })
        await store.append(log, rows, tx)
        for (const { id } of rows) known.add(id)
      },
    }
  },
  'other bytes under a known id are passed by': (store) => ({
    append: async (log, rows, tx) => store.append(log, rows, tx).catch(() => {}),
  }),
  'what comes before a refused row is kept': (store) => ({
    async append(log, rows, tx) {
      for (const row of rows) await store.append(log, [row], tx)
      if (rows.length === 0) await store.append(log, rows, tx)
    },
  }),
  'the known ids are forgotten once they are sealed': (store) => {
    let era = 0
    const renamed = (id: string): string => `${id.slice(0, -1)}${era % 10}`
    const seen = new Map<string, number>()
    return {
      async append(log, rows, tx) {
        const all = rows.map((row) => {
          if (!seen.has(row.id)) seen.set(row.id, era)
          return seen.get(row.id) === era ? row : { ...row, id: renamed(row.id), keys: row.keys }
        })
        await store.append(log, all, tx)
      },
      async seal(log, max, fold) {
        const sealed = await store.seal(log, max, fold)
        if (sealed !== 0) era++
        return sealed
      },
    }
  },
  'all logs are one': (store) => ({
    append: (_, rows, tx) => store.append('one', rows, tx),
    seal: (_, max, fold) => store.seal('one', max, fold),
    read: (_, from, bounds) => store.read('one', from, bounds),
    head: () => store.head('one'),
  }),
  'a transaction is passed by': (store) => ({ append: async (log, rows) => store.append(log, rows) }),
  'long entries are cut': writes((rows) =>
    rows.map((row) => (row.bytes.length > 32_768 ? { ...row, bytes: row.bytes.subarray(0, 32_768) } : row)),
  ),

  // Sealing.
  'more is sealed than was asked': (store) => ({ seal: (log, max, fold) => store.seal(log, max + 1, fold) }),
  'a seal says that it is done when it is not': (store) => ({
    async seal(log, max, fold) {
      const sealed = await store.seal(log, max, fold)
      return sealed === 'busy' ? sealed : Math.min(sealed, 1)
    },
  }),
  'the fold gets an empty head': (store) => ({
    seal: (log, max, fold) =>
      store.seal(log, max, (rows, head) => {
        const delta = fold(rows, { size: 0, frontier: new Uint8Array() })
        return { ...delta, head: { ...delta.head, size: head.size + rows.length } }
      }),
  }),
  'a fold that fails is swallowed': (store) => ({
    async seal(log, max, fold) {
      return store.seal(log, max, (rows, head) => {
        try {
          return fold(rows, head)
        } catch {
          return { leaves: [], tiles: [], head: { size: head.size + rows.length, frontier: head.frontier } }
        }
      })
    },
  }),
  'two seals at once fork the log': (store) => {
    const heads = new Map<string, { size: number; frontier: Uint8Array }>()
    return {
      async seal(log, max, fold) {
        const head = heads.get(log) ?? { size: 0, frontier: new Uint8Array() }
        await new Promise((resolve) => setImmediate(resolve))
        return store.seal(log, max, (rows) => {
          const delta = fold(rows, head)
          heads.set(log, delta.head)
          return delta
        })
      },
    }
  },
  'tiles forget what they had': (store) => {
    const last = new Map<string, Uint8Array>()
    return {
      seal: (log, max, fold) =>
        store.seal(log, max, (rows, head) => {
          const delta = fold(rows, head)
          for (const { level, index, hashes } of delta.tiles) last.set(`${log}/${level}/${index}`, hashes)
          return delta
        }),
      tiles: async (log, refs) => refs.map(({ level, index }) => last.get(`${log}/${level}/${index}`) ?? null),
    }
  },
  'tiles above the leaves are not kept': (store) => ({
    tiles: async (log, refs) => (await store.tiles(log, refs)).map((tile, i) => (refs[i]!.level > 0 ? null : tile)),
  }),
  'where a tile goes on is not looked at': (store) => {
    const lengths = new Map<string, number>()
    return {
      seal: (log, max, fold) =>
        store.seal(log, max, (rows, head) => {
          const delta = fold(rows, head)
          const tiles = delta.tiles.map((tile) => {
            const key = `${log}/${tile.level}/${tile.index}`
            const offset = lengths.get(key) ?? 0
            lengths.set(key, offset + tile.hashes.length / 32)
            return { ...tile, offset }
          })
          return { ...delta, tiles }
        }),
    }
  },
  'a mark is always sealed': () => ({ isSealed: async () => true }),
  'a mark is sealed when nothing at all is left': (store) => ({
    isSealed: async (log) => (await store.inspect(log)).unsealed === 0,
  }),

  // Reading.
  'the bound of bytes is ignored': (store) => ({
    read: (log, from, { entries }) => store.read(log, from, { entries, bytes: Infinity }),
  }),
  'the bound of entries is ignored': (store) => ({
    read: (log, from, { bytes }) => store.read(log, from, { entries: 1_000, bytes }),
  }),
  'an entry larger than the bound is never read': (store) => ({
    async read(log, from, bounds) {
      const rows = await store.read(log, from, bounds)
      return (rows[0]?.bytes?.length ?? 0) > bounds.bytes ? [] : rows
    },
  }),
  'an index counts from 1': reads((row) => ({ ...row, leaf: { ...row.leaf, index: row.leaf.index + 1 } })),
  'bytes are told as text would be': reads((row) => ({ ...row, bytes: row.bytes && row.bytes.subarray(1) })),
  'the instant is that of sealing': reads((row) => ({ ...row, leaf: { ...row.leaf, atMs: Date.now() } })),
  'what is not sealed is found': (store) => {
    const rows = new Map<string, Row>()
    return {
      async append(log, given, tx) {
        await store.append(log, given, tx)
        for (const row of given) rows.set(row.id, row)
      },
      async find(log, id) {
        const found = await store.find(log, id)
        const row = rows.get(id)
        if (found !== null || row === undefined) return found
        const [any] = await store.read(log, 0, { entries: 1, bytes: 1 })
        return any === undefined ? null : { leaf: { ...any.leaf, id }, bytes: row.bytes }
      },
    }
  },
  'a search ignores the scope': searches((q) => ({ ...q, scope: null })),
  'a search ignores the actor': without('actor'),
  'a search ignores the id of an actor': searches((q) =>
    q.actor === undefined ? q : { ...q, actor: { type: q.actor.type } },
  ),
  'a search ignores the action': without('action'),
  'a search ignores the beginning of an action': without('actionPrefix'),
  'a search takes a beginning for a pattern': searches((q) =>
    q.actionPrefix === '%' || q.actionPrefix === 'user_' ? { ...q, actionPrefix: '' } : q,
  ),
  'a search ignores the target': without('target'),
  'a search ignores the outcome': without('outcome'),
  'a search ignores the person': without('ref'),
  'a search ignores the correlation': without('correlationId'),
  'a search tells no bytes': (store) => ({
    search: async (log, q) => (await store.search(log, q)).map((row) => ({ ...row, bytes: null })),
  }),
  'a search tells no target': (store) => ({
    async search(log, q) {
      const rows = await store.search(log, q)
      return rows.map((row) => ({ ...row, leaf: { ...row.leaf, targetType: null, targetId: null } }))
    },
  }),
  'what is found by its id is of nobody': (store) => ({
    async find(log, id) {
      const found = await store.find(log, id)
      return found && { ...found, leaf: { ...found.leaf, actorType: null, actorId: null } }
    },
  }),
  'a search finds no person': blindFor('ref'),
  'a search finds the first person of an entry': (store) => ({
    async search(log, q) {
      const rows = await store.search(log, q)
      return q.ref === undefined ? rows : rows.filter(({ leaf }) => leaf.refs.toSorted()[0] === q.ref)
    },
  }),
  'a search finds no correlation': blindFor('correlationId'),
  'persons are not told': reads((row) => ({ ...row, leaf: { ...row.leaf, refs: [] } })),
  'the correlation id is not told': reads((row) => ({ ...row, leaf: { ...row.leaf, correlationId: null } })),
  'a search takes scopes in any case': collates('scope', anyCase),
  'a search takes scopes with blanks behind': collates('scope', unpadded),
  'a search takes scopes with any accent': collates('scope', unaccented),
  'a search takes scopes in any normal form': collates('scope', (text) => text.normalize()),
  'a search takes scopes that begin so': collates('scope', cut),
  'a search takes actors in any case': collates('actor', anyCase),
  'a search takes targets in any case': collates('target', anyCase),
  'a search takes actions in any case': collates('action', anyCase),
  'a search takes actions that begin so in any case': collates('actionPrefix', anyCase),
  'a search takes correlations in any case': collates('correlationId', anyCase),
  'a search ignores when it begins': without('fromMs'),
  'a search ignores when it ends': without('toMs'),
  'a search includes when it ends': searches((q) => (q.toMs === undefined ? q : { ...q, toMs: q.toMs + 1 })),
  'a search goes one way only': searches((q) => ({ ...q, order: 'asc' })),
  'a search ignores where it goes on': without('after'),
  'a search repeats the last of the page before': searches((q) =>
    q.after === undefined ? q : { ...q, after: q.after + (q.order === 'asc' ? -1 : 1) },
  ),
  'a search has no limit': searches((q) => ({ ...q, limit: 1_000 })),
  'checkpoints of one size are both kept': () => {
    const all = new Map<string, { size: number; note: string }[]>()
    return {
      async publish(log, checkpoint) {
        all.set(
          log,
          [...(all.get(log) ?? []), checkpoint].toSorted((a, b) => a.size - b.size),
        )
      },
      checkpoints: async (log, q) => {
        const notes = all.get(log) ?? []
        return 'last' in q ? notes.slice(-1) : notes.filter(({ size }) => size >= q.from).slice(0, q.limit)
      },
    }
  },
  'the last checkpoint is the first': (store) => ({
    checkpoints: async (log, q) =>
      'last' in q ? store.checkpoints(log, { from: 0, limit: 1 }) : store.checkpoints(log, q),
  }),

  // Keys.
  'keys of all entries are given': (store) => {
    const ids: string[] = []
    return {
      async append(log, rows, tx) {
        await store.append(log, rows, tx)
        ids.push(...rows.map(({ id }) => id))
      },
      keys: (log) => store.keys(log, ids),
    }
  },
  'keys are destroyed in all scopes': (store) => ({
    async destroyKeys(log, scope, ref) {
      const others = await Promise.all(['acme', 'other'].map((one) => store.destroyKeys(log, one, ref)))
      return others[scope === 'acme' ? 0 : 1]!
    },
  }),
  'keys are destroyed in scopes of any case': (store) => {
    const scopes = new Set<string>()
    return {
      async append(log, rows, tx) {
        await store.append(log, rows, tx)
        for (const { scope } of rows.flatMap(({ keys }) => keys)) scopes.add(scope)
      },
      async destroyKeys(log, scope, ref) {
        let destroyed = 0
        for (const one of scopes)
          if (anyCase(one) === anyCase(scope)) destroyed += await store.destroyKeys(log, one, ref)
        return destroyed
      },
    }
  },
  'keys of everybody in a scope are destroyed': (store) => ({
    async destroyKeys(log, scope) {
      await store.destroyKeys(log, scope, 'r_2')
      return store.destroyKeys(log, scope, 'r_1')
    },
  }),
  'a destroyed key comes back with its entry': (store) => {
    const again = new Map<string, Row>()
    return {
      async append(log, rows, tx) {
        for (const row of rows) {
          if (again.has(row.id)) again.set(row.id, { ...row, keys: row.keys })
          else again.set(row.id, { ...row, keys: [] })
        }
        await store.append(log, rows, tx)
      },
      async keys(log, entries) {
        const back = entries.flatMap((entry) => (again.get(entry)?.keys ?? []).map((key) => ({ ...key, entry })))
        const kept = await store.keys(log, entries)
        return kept.length > 0 ? kept : back
      },
    }
  },
  'keys are not kept with the entry': writes((rows) => rows.map((row) => ({ ...row, keys: [] }))),

  // Cursors.
  'a cursor is given to whoever asks': (store) => ({
    async claim(log, sink, owner, ttlMs) {
      return (await store.claim(log, sink, owner, ttlMs)) ?? { fence: 99, at: 0, state: null }
    },
  }),
  'a new cursor stands at the end': claims((claim) => claim && { ...claim, at: claim.at === 0 ? 1 : claim.at }),
  'what a sink keeps is lost': claims((claim) => claim && { ...claim, state: null }),
  'a fence does not grow': claims((claim) => claim && { ...claim, fence: 1 }),
  'fences are not looked at': (store) => {
    const fences = new Map<string, number>()
    return {
      async claim(log, sink, owner, ttlMs) {
        const claim = await store.claim(log, sink, owner, ttlMs)
        if (claim !== null) fences.set(`${log}/${sink}`, claim.fence)
        return claim
      },
      advance: (log, sink, _, to, ttlMs, state) =>
        store.advance(log, sink, fences.get(`${log}/${sink}`) ?? 0, to, ttlMs, state),
    }
  },
  'a cursor goes back': (store) => {
    const places = new Map<string, number>()
    return {
      async advance(log, sink, fence, to, ttlMs, state) {
        const at = places.get(`${log}/${sink}`) ?? 0
        places.set(`${log}/${sink}`, to)
        return to < at ? true : store.advance(log, sink, fence, to, ttlMs, state)
      },
    }
  },
  'a lease never ends': (store) => ({
    claim: (log, sink, owner) => store.claim(log, sink, owner, 100 * 3_600_000),
  }),
  'moving a cursor leaves its lease': (store) => ({
    async advance(log, sink, fence, to, _, state) {
      return store.advance(log, sink, fence, to, 1, state)
    },
  }),
  'a lease is given back by anybody': (store) => {
    const fences = new Map<string, number>()
    return {
      async claim(log, sink, owner, ttlMs) {
        const claim = await store.claim(log, sink, owner, ttlMs)
        if (claim !== null) fences.set(`${log}/${sink}`, claim.fence)
        return claim
      },
      release: (log, sink) => store.release(log, sink, fences.get(`${log}/${sink}`) ?? 0),
    }
  },
  'a lease is not given back': () => ({ release: async () => {} }),
  'all sinks have one cursor': (store) => ({
    claim: (log, _, owner, ttlMs) => store.claim(log, 's', owner, ttlMs),
  }),

  // Dead letters, holds, retention.
  'a dead letter that is buried again waits on': (store) => {
    const waiting = new Set<string>()
    return {
      deadLetters: {
        async bury(log, rows) {
          const before = await store.deadLetters.list(log, { again: true, limit: 100 })
          for (const row of before) waiting.add(`${row.sink}${row.index}`)
          await store.deadLetters.bury(log, rows)
          const ids = rows.filter((row) => waiting.has(`${row.sink}${row.index}`)).map(({ id }) => id)
          if (ids.length > 0) await store.deadLetters.unbury(log, { ids })
        },
      },
    }
  },
  'dead letters keep their first reason': (store) => {
    const first = new Map<string, DeadRow>()
    return {
      deadLetters: {
        async bury(log, rows) {
          const all = rows.map((row) => first.get(`${row.sink}${row.index}`) ?? row)
          for (const row of all) first.set(`${row.sink}${row.index}`, row)
          await store.deadLetters.bury(log, all)
        },
      },
    }
  },
  'dead letters are listed without an order': (store) => ({
    deadLetters: { list: async (log, q) => (await store.deadLetters.list(log, q)).toReversed() },
  }),
  'all dead letters wait, whichever were named': (store) => ({
    deadLetters: { unbury: (log, { sink }) => store.deadLetters.unbury(log, sink === undefined ? {} : { sink }) },
  }),
  'dead letters of all sinks wait': (store) => ({
    deadLetters: { unbury: (log, { ids }) => store.deadLetters.unbury(log, ids === undefined ? {} : { ids }) },
  }),
  'dead letters of all sinks are removed': (store) => ({
    deadLetters: { remove: (log, { ids }) => store.deadLetters.remove(log, { ids }) },
  }),
  'dead letters are counted together': (store) => ({
    deadLetters: {
      async count(log) {
        const counts = Object.values(await store.deadLetters.count(log))
        return { all: counts.reduce((sum, count) => sum + count, 0) }
      },
    },
  }),
  'a hold is lifted twice': (store) => ({
    async unhold(log, id) {
      await store.unhold(log, id)
      return true
    },
  }),
  'holds are forgotten': () => ({ holds: async () => [] }),
  'young entries may be pruned': (store) => ({ prunable: (log) => store.prunable(log, Infinity) }),
  'what is not shipped may be pruned': (store) => ({
    prunable: async (log, beforeMs) => (beforeMs === 0 ? 0 : (await store.head(log)).size),
  }),
  'what is pruned can be read': (store) => {
    const bytes = new Map<string, Uint8Array>()
    return {
      async append(log, rows, tx) {
        await store.append(log, rows, tx)
        for (const row of rows) bytes.set(row.id, row.bytes)
      },
      read: async (log, from, bounds) =>
        (await store.read(log, from, bounds)).map((row) => ({ ...row, bytes: bytes.get(row.leaf.id) ?? null })),
    }
  },
  'pruning takes the leaves along': (store) => ({
    async read(log, from, bounds) {
      return (await store.read(log, from, bounds)).filter(({ bytes }) => bytes !== null)
    },
  }),
  'pruning is not told': (store) => ({ head: async (log) => ({ ...(await store.head(log)), pruned: 0 }) }),
  'it says that nothing waits': (store) => ({
    inspect: async (log) => ({ ...(await store.inspect(log)), unsealed: 0, oldestUnsealedMs: null }),
  }),
}

/** Stores with one fault each, for `scoreMutants`: the suite has to catch every one of them. */
export const brokenStores: Record<string, Subject<StoreUnderTest>> = Object.fromEntries(
  Object.entries(faults).map(([name, fault]) => [name, subjectWith(fault)]),
)

function subjectWith(fault: Fault): Subject<StoreUnderTest> {
  return {
    has: ['no transactions'],
    async make() {
      const clock = virtualClock({ now: Date.now() })
      const store = memoryStore({ clock })
      const { deadLetters, ...changes } = fault(store, clock)
      const broken: AuditStore = { ...store, ...changes, deadLetters: { ...store.deadLetters, ...deadLetters } }
      return { store: broken, elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  }
}
