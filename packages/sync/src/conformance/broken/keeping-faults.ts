import type { ConflictRow, PushWrites, SyncStore } from '../../store.ts'
import type { Fault } from './fault.ts'

type Forgotten = Parameters<SyncStore['forget']>[0] & {
  readonly c?: string
  readonly id?: string
  readonly subject?: string
}

const forgets =
  (wrong: (q: Forgotten) => Forgotten): Fault =>
  (store) => ({ forget: (q, node) => store.forget(wrong(q), node) })

const collects =
  (wrong: Partial<Parameters<SyncStore['gc']>[0]>): Fault =>
  (store) => ({ gc: (o) => store.gc({ ...o, ...wrong }) })

const finds =
  (wrong: (args: Parameters<SyncStore['ofSubject']>) => Parameters<SyncStore['ofSubject']>): Fault =>
  (store) => ({ ofSubject: (...args) => store.ofSubject(...wrong(args)) })

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const keepingFaults: Record<string, Fault> = {
  // What lists tell.
  'a list of conflicts tells not whose they are': (store) => ({
    conflicts: async (q) => (await store.conflicts(q)).map((row) => ({ ...row, principal: '', client: '' })),
  }),
  'a list of conflicts tells not of which record': (store) => ({
    conflicts: async (q) => (await store.conflicts(q)).map((row) => ({ ...row, scope: '', c: '' })),
  }),

  // Erasure.
  'what is forgotten is only deleted': (store) => ({
    async forget(q, node) {
      const { scope, c, id } = q as Forgotten
      if (c === undefined || id === undefined) return store.forget(q, node)
      const made = await store.change([{ t: 'delete', scope, c, id, set: {}, unset: [] }], node)
      return { records: made[0] === null ? 0 : 1, clients: [] }
    },
  }),
  'conflicts of what is forgotten stay': (store) => {
    const rows = new Map<string, ConflictRow>()
    return {
      async conflicts(q) {
        const kept = [...rows.values()].filter((row) => q.scopes.includes(row.scope) && row.status === q.status)
        const now = await store.conflicts(q)
        return [...new Map([...kept, ...now].map((row) => [row.id, row])).values()]
      },
      async forget(q, node) {
        for (const row of await store.conflicts({ scopes: [q.scope], status: 'open', limit: 1_000 }))
          rows.set(row.id, row)
        return store.forget(q, node)
      },
    }
  },
  'all of a scope is forgotten with one record': forgets(({ scope, subject }) => ({
    scope,
    ...(subject === undefined ? {} : { subject }),
  })),
  'all of a scope is forgotten with one person': forgets(({ subject: _subject, ...q }) => q),
  'nothing is forgotten': () => ({ forget: async () => ({ records: 0, clients: [] }) }),
  'of a scope one collection is forgotten': forgets((q) => (q.c === undefined ? { ...q, c: 'task', id: 'a' } : q)),
  'what is forgotten is not counted': (store) => ({
    forget: async (q, node) => ({ ...(await store.forget(q, node)), records: 0 }),
  }),
  'nobody wrote what is forgotten': (store) => ({
    forget: async (q, node) => ({ ...(await store.forget(q, node)), clients: [] }),
  }),
  'what is forgotten was always so': (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      if (pulled.kind !== 'page') return pulled
      const h = '000000000-0000-n0'
      const rows = pulled.rows.map((row) =>
        row.gone === 'erased' ? { ...row, state: { ...row.state, h, deletedAt: h } } : row,
      )
      return { ...pulled, rows }
    },
  }),
  'a person is found in no scope but the first': finds(([scope, ...rest]) => [scope.split('/')[0]!, ...rest]),
  'a person has one page': finds(([scope, subject, , limit]) => [scope, subject, undefined, limit]),
  'a person has no limit': finds(([scope, subject, after]) => [scope, subject, after, 1_000]),
  'a person has no order': (store) => ({
    ofSubject: async (...args) => (await store.ofSubject(...args)).toReversed(),
  }),
  'whom a pushed record is about is not kept': (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        async (pushing) => {
          const made = await work(pushing)
          return { ...made, writes: { ...made.writes, subjects: new Map() } }
        },
        o,
      ),
  }),

  'whom a conflict is about is not kept': (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        async (pushing) => {
          const made = await work(pushing)
          return { ...made, writes: { ...made.writes, conflictSubjects: new Map() } }
        },
        o,
      ),
  }),
  'a conflict is about one person': (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        async (pushing) => {
          const made = await work(pushing)
          const first = [...made.writes.conflictSubjects].map(([id, [subject]]) => [id, [subject!]] as const)
          return { ...made, writes: { ...made.writes, conflictSubjects: new Map(first) } }
        },
        o,
      ),
  }),
  'a conflict met what its push wrote': (store) => ({
    async push(q, work, o) {
      let made: { readonly writes: PushWrites } | undefined
      const value = await store.push(
        q,
        async (pushing) => {
          const all = await work(pushing)
          made = all
          return { ...all, writes: { ...all.writes, conflicts: [] } }
        },
        o,
      )
      const rest = { ...made!.writes, results: [], records: [], resolved: [], statements: [], subjects: new Map() }
      if (rest.conflicts.length > 0) await store.push(q, async () => ({ value: 0, writes: rest }), o)
      return value
    },
  }),
  'edits about a person are forgotten in scopes below': (store) => ({
    async forget(q, node) {
      if ('subject' in q) await store.forget({ ...q, scope: `${q.scope}/below` }, node)
      return store.forget(q, node)
    },
  }),

  // Collection.
  'what is young is removed': collects({ tombstonesMs: 0, opsMs: 0 }),
  'it removes all at once': collects({ batch: 1_000 }),
  'no tombstone is removed': collects({ tombstonesMs: 10 ** 12 }),
  'no result is removed': collects({ opsMs: 10 ** 12 }),
  'what it removed is not told': (store) => ({
    async gc(o) {
      await store.gc(o)
      return { tombstones: 0, ops: 0 }
    },
  }),
  'the horizon moves after what it is for': (store) => {
    let isRemoving = false
    return {
      async gc(o) {
        isRemoving = true
        for (let i = 0; i < 5; i++) await pause()
        isRemoving = false
        return store.gc(o)
      },
      async pull(q) {
        const pulled = await store.pull(q)
        if (pulled.kind !== 'page' || !isRemoving) return pulled
        return { ...pulled, rows: pulled.rows.filter(({ gone }) => gone === undefined) }
      },
    }
  },
  'the horizon does not move': (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      if (pulled.kind !== 'expired') return pulled
      const now = await store.pull({ scopes: q.scopes, collections: null, floor: null, limit: 1 })
      return now.kind === 'page' ? { ...now, rows: [], more: false } : now
    },
  }),
  'the horizon moves to now': (store) => {
    const before = new Set<string>()
    let expired: ReadonlySet<string> = new Set()
    return {
      async gc(o) {
        const removed = await store.gc(o)
        if (removed.tombstones > 0) expired = new Set(before)
        return removed
      },
      async pull(q) {
        if (q.floor !== null && expired.has(q.floor)) return { kind: 'expired' }
        const pulled = await store.pull(q)
        if (pulled.kind === 'page') before.add(pulled.target)
        return pulled
      },
    }
  },
  'how far the horizon is cannot be told': (store) => ({
    inspect: async () => ({ ...(await store.inspect()), horizonAgeMs: null }),
  }),
  'tombstones count as records': (store) => ({
    async inspect() {
      const all = await store.inspect()
      return { ...all, records: all.records + all.tombstones, tombstones: 0 }
    },
  }),

  // Eras.
  'an era is only counted': (store) => {
    let eras = 0
    return {
      rebase: async () => (await store.inspect()).era + ++eras,
      inspect: async () => {
        const all = await store.inspect()
        return { ...all, era: all.era + eras }
      },
    }
  },
  'who waits is not told of a new era': (store) => {
    const old = new Set<string>()
    const tokens = new Set<string>()
    return {
      async rebase() {
        for (const token of tokens) old.add(token)
        return store.rebase()
      },
      async changed(since, scopes) {
        const found = await store.changed(since, scopes)
        tokens.add(found.token)
        return since !== null && old.has(since) ? { ...found, scopes: [] } : found
      },
    }
  },
  'a new era has the number of the old one': (store) => ({
    async rebase() {
      await store.rebase()
      return 1
    },
  }),
}
