import { formatPlace, readPlace, type RowPlace } from '../../memory/place.ts'
import { keyText } from '../../record-key.ts'
import type { Register } from '../../record.ts'
import type { PulledRow, PullQuery, RecordKey, SyncStore } from '../../store.ts'
import type { Fault } from './fault.ts'
import { peek } from './peek.ts'

/** Asked wrongly. */
const asks =
  (wrong: (q: PullQuery) => PullQuery): Fault =>
  (store) => ({ pull: (q) => store.pull(wrong(q)) })

/** Told wrongly. */
const tells =
  (wrong: (rows: readonly PulledRow[], q: PullQuery) => readonly PulledRow[]): Fault =>
  (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      return pulled.kind === 'page' ? { ...pulled, rows: wrong(pulled.rows, q) } : pulled
    },
  })

const each = (wrong: (row: PulledRow) => PulledRow): Fault => tells((rows) => rows.map(wrong))

const registers = (wrong: (all: [string, Register][]) => [string, Register][]): Fault =>
  each((row) => {
    const kept = Object.fromEntries(wrong(Object.entries(row.state.registers)))
    return { ...row, state: { ...row.state, registers: kept } }
  })

/** Where a page begins. */
const begins = (wrong: (place: RowPlace) => RowPlace): Fault =>
  asks((q) => (q.after === undefined ? q : { ...q, after: formatPlace(wrong(readPlace(q.after))) }))

const known = (isKnown: boolean): Fault =>
  asks((q) => ({ ...q, scopes: q.scopes.map(({ name }) => ({ name, isKnown })) }))

/** Before all that a collection, an id or a scope can be, and behind it. */
const [FIRST, LAST] = ['!', '\u{10FFFF}']

/** Tombstones are told that are not the device's business. */
const tombstones =
  (isTold: (q: PullQuery) => boolean): Fault =>
  (store) => {
    const deleted = new Map<string, RecordKey>()
    return {
      async change(changes, node, o) {
        for (const { t, scope, c, id } of changes) {
          if (t === 'delete') deleted.set(keyText({ scope, c, id }), { scope, c, id })
        }
        return store.change(changes, node, o)
      },
      async pull(q) {
        const pulled = await store.pull(q)
        const last = pulled.kind === 'page' ? pulled.rows.at(-1)?.place : undefined
        if (pulled.kind !== 'page' || pulled.more || !isTold(q)) return pulled
        const here = [...deleted.values()].filter(({ scope }) => q.scopes.some(({ name }) => name === scope))
        const { records } = await peek(store, { client: 'looks', keys: here, ops: [] })
        const more = records.filter((record) => {
          return record.gone !== undefined && !pulled.rows.some((row) => keyText(row) === keyText(record))
        })
        return {
          ...pulled,
          rows: [...pulled.rows, ...more.map((row) => ({ ...row, isNew: false, place: last ?? '' }))],
        }
      },
    }
  }

/** What it answers where it should say that there is no way on. */
const passes =
  (kind: 'expired' | 'other-era', isPassed: (q: PullQuery) => boolean): Fault =>
  (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      if (pulled.kind !== kind || !isPassed(q)) return pulled
      const { target: _target, after: _after, ...first } = q
      return store.pull({ ...first, floor: null })
    },
  })

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const pullFaults: Record<string, Fault> = {
  'the snapshot is taken by a second statement': (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      if (pulled.kind !== 'page' || pulled.more || q.target !== undefined) return pulled
      await pause()
      const second = await store.pull({ ...q, limit: 1 })
      return second.kind === 'page' ? { ...pulled, target: second.target } : second
    },
  }),
  'each page has a target of its own': asks(({ target: _target, ...q }) => q),
  'pages behind the first have no bound': (store) => ({
    async pull({ target, ...q }) {
      const pulled = await store.pull(q)
      return pulled.kind === 'page' && target !== undefined ? { ...pulled, target } : pulled
    },
  }),
  'a page repeats what has the version of its first row': begins((place) => ({ ...place, c: FIRST })),
  'a page skips what has the version of the row before': begins((place) => ({ ...place, c: LAST })),
  'a page skips what has the same name in another scope': begins((place) => ({ ...place, scope: LAST })),
  'pages begin at the floor each time': asks(({ after: _after, ...q }) => q),
  'the limit of rows is ignored': asks((q) => ({ ...q, limit: 1_000 })),
  'a page has a row more than was asked for': asks((q) => ({ ...q, limit: q.limit + 1 })),
  'nothing more is ever to come': (store) => ({
    pull: async (q) => ({ ...(await store.pull(q)), more: false }) as never,
  }),
  'more is to come after every full page': (store) => ({
    async pull(q) {
      const pulled = await store.pull(q)
      return pulled.kind === 'page' ? { ...pulled, more: pulled.rows.length === q.limit } : pulled
    },
  }),
  'rows come by their ids': tells((rows) => rows.toSorted((a, b) => (a.id < b.id ? -1 : 1))),
  'rows of one version come in no order': tells((rows) => rows.toReversed()),
  'the floor is ignored': asks((q) => ({ ...q, floor: null })),
  'a scope that is new begins at the floor': known(true),
  'a scope that is known comes whole': known(false),
  'a scope is a beginning': (store) => {
    const names = new Set<string>()
    return {
      async change(changes, node, o) {
        for (const { scope } of changes) names.add(scope)
        return store.change(changes, node, o)
      },
      pull(q) {
        const scopes = q.scopes.flatMap(({ name, isKnown }) =>
          [name, ...names].filter((one) => one.startsWith(name)).map((one) => ({ name: one, isKnown })),
        )
        return store.pull({ ...q, scopes: [...new Map(scopes.map((one) => [one.name, one])).values()] })
      },
    }
  },
  'only the first scope is told': asks((q) => ({ ...q, scopes: q.scopes.slice(0, 1) })),
  'all collections are told': asks((q) => ({ ...q, collections: null })),
  'no collection means all': asks((q) => (q.collections?.length === 0 ? { ...q, collections: null } : q)),
  'tombstones are told to who has nothing': tombstones((q) => q.floor === null),
  'tombstones are told of what came and went': tombstones((q) => q.floor !== null),
  'tombstones are not told': tells((rows) => rows.filter(({ gone }) => gone === undefined)),
  'an end is told only to who had the record since it last began': (store) => {
    let step = 0
    const began = new Map<string, number>()
    const floors = new Map<string, number>()
    return {
      async change(changes, node, o) {
        const { records } = await peek(store, { client: 'looks', keys: changes, ops: [] })
        step++
        for (const record of records) if (record.gone !== undefined) began.set(keyText(record), step)
        return store.change(changes, node, o)
      },
      async pull(q) {
        const pulled = await store.pull(q)
        if (pulled.kind !== 'page') return pulled
        floors.set(pulled.target, step)
        const since = q.floor === null ? 0 : floors.get(q.floor)!
        const isTold = (row: PulledRow): boolean => row.gone === undefined || (began.get(keyText(row)) ?? 0) <= since
        return { ...pulled, rows: pulled.rows.filter(isTold) }
      },
    }
  },
  'what moved away is not told': tells((rows) => rows.filter(({ gone }) => gone !== 'scope')),
  'why a record is gone is lost': each((row) => (row.gone === undefined ? row : { ...row, gone: 'deleted' })),
  'that a record is gone is lost': each(({ gone: _gone, ...row }) => row),
  'everything is new': each((row) => ({ ...row, isNew: true })),
  'nothing is new': each((row) => ({ ...row, isNew: false })),
  'what an absent field was is forgotten': registers((all) => all.filter(([, register]) => register.length === 2)),
  'null is absent': registers((all) => all.filter(([, register]) => register.length === 1 || register[0] !== null)),
  'tombstones keep their values': registers((all) =>
    all.map(([field, register]) => [field, register.length === 1 ? [0, register[0]] : register]),
  ),
  'the last deletion is forgotten': each(({ state: { deletedAt: _at, ...state }, ...row }) => ({ ...row, state })),
  'what it cannot read is nothing': (store) => ({
    pull: (q) =>
      store.pull(q).catch(() => store.pull({ ...q, floor: null, target: undefined, after: undefined } as never)),
  }),
  'nobody is told that they start over': passes('expired', () => true),
  'in its pages nobody is told to start over': passes('expired', (q) => q.target !== undefined),
  'floors of another era are good': passes('other-era', () => true),
  'targets of another era are good': passes('other-era', (q) => q.target !== undefined),
  'time stands still': (store) => ({
    pull: async (q) => ({ ...(await store.pull(q)), nowMs: 0 }) as Awaited<ReturnType<SyncStore['pull']>>,
  }),
}
