import type { ClientRow, PushState, PushWrites, ResultRow, ServerChange, SyncStore } from '../../store.ts'
import type { Fault } from './fault.ts'
import { peek } from './peek.ts'

/** What a push reads is read wrongly. */
const reads =
  (wrong: (state: PushState, client: string) => Partial<PushState>): Fault =>
  (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        (pushing) => work({ ...pushing, state: { ...pushing.state, ...wrong(pushing.state, q.client) } }),
        o,
      ),
  })

/** What a push writes is written wrongly. */
const writes =
  (wrong: (made: PushWrites) => Partial<PushWrites>): Fault =>
  (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        async (pushing) => {
          const made = await work(pushing)
          return { ...made, writes: { ...made.writes, ...wrong(made.writes) } }
        },
        o,
      ),
  })

/** Tells all results that were ever written, as `of` finds them. */
const remembers =
  (
    of: (
      all: readonly (ResultRow & { client: string })[],
      client: string,
      ops: readonly string[],
    ) => readonly ResultRow[],
  ): Fault =>
  (store) => {
    const all: (ResultRow & { client: string })[] = []
    return {
      push: (q, work, o) =>
        store.push(
          q,
          async (pushing) => {
            const found = of(all, q.client, q.ops).map(({ op, fp, result }) => [op, { op, fp, result }] as const)
            const made = await work({ ...pushing, state: { ...pushing.state, results: new Map(found) } })
            all.push(...made.writes.results.map((row) => ({ ...row, client: q.client })))
            return made
          },
          o,
        ),
    }
  }

const clients =
  (wrong: (row: ClientRow) => ClientRow): Fault =>
  (store) => ({
    async client(client) {
      const row = await store.client(client)
      return row && wrong(row)
    },
  })

/** Changes of the server are made wrongly. */
const changes =
  (wrong: (change: ServerChange) => ServerChange): Fault =>
  (store) => ({ change: (all, node, o) => store.change(all.map(wrong), node, o) })

type ConflictQuery = Parameters<SyncStore['conflicts']>[0]

const lists =
  (wrong: (q: ConflictQuery) => Partial<ConflictQuery>): Fault =>
  (store) => ({ conflicts: (q) => store.conflicts({ ...q, ...wrong(q) }) })

export const pushFaults: Record<string, Fault> = {
  'an operation is known whoever sent it': remembers((all, _, ops) => all.filter(({ op }) => ops.includes(op))),
  'all results of a device are read': remembers((all, client) => all.filter((row) => row.client === client)),
  'results are answered with another content': reads(({ results }) => ({
    results: new Map([...results].map(([op, row]) => [op, { ...row, fp: 'f0' }])),
  })),
  'results are not kept': writes(() => ({ results: [] })),
  'records are not read': reads(() => ({ records: [] })),
  'tombstones are not read': reads(({ records }) => ({ records: records.filter(({ gone }) => gone === undefined) })),
  'a device is never known': reads(() => ({ client: undefined })),
  'all is busy': reads(({ records }) => ({ busy: records })),
  'what is read may change before it is written': (store) => ({
    async push(q, work, o) {
      const { writes, value } = await work({ state: await peek(store, q), attempt: async (fn) => fn() })
      return store.push(q, async () => ({ writes, value }), o)
    },
  }),
  'a push that fails is noted': (store) => ({
    push: (q, work, o) =>
      store.push(q, work, o).catch(async (error: unknown) => {
        await store.pulled(q.client, 'nobody')
        throw error
      }),
  }),
  'a push that fails writes what it had': (store) => ({
    async push(q, work, o) {
      let failure: Error | undefined
      const value = await store.push(
        q,
        async (pushing) =>
          work(pushing).catch((error: unknown) => {
            failure = error as Error
            const client = { client: q.client, principal: 'ann', pushed: 0, offsetMs: 0 }
            const nothing = { results: [], records: [], conflicts: [], resolved: [], statements: [] }
            return {
              writes: { client, subjects: new Map(), conflictSubjects: new Map(), ...nothing },
              value: undefined as never,
            }
          }),
        o,
      )
      if (failure !== undefined) throw failure
      return value
    },
  }),
  'a push writes a version a record': (store) => ({
    push: async (q, work, o) => {
      let made: { writes: PushWrites; value: any } | undefined
      await store.push(
        q,
        async (pushing) => {
          made = await work(pushing)
          return { ...made, writes: { ...made.writes, records: made.writes.records.slice(0, 1) } }
        },
        o,
      )
      for (const record of made!.writes.records.slice(1)) {
        const rest = { ...made!.writes, results: [], conflicts: [], records: [record] }
        await store.push(q, async () => ({ value: 0, writes: rest }), o)
      }
      return made!.value
    },
  }),
  'a push answers nothing': (store) => ({
    async push(q, work, o) {
      await store.push(q, work, o)
      return undefined as never
    },
  }),
  'what failed as it was tried is not told': (store) => ({
    push: (q, work, o) =>
      store.push(q, (pushing) => work({ ...pushing, attempt: (fn) => fn().catch(() => undefined as never) }), o),
  }),
  'what failed as it was tried fails the push': (store) => ({
    push: (q, work, o) =>
      store.push(
        q,
        async (pushing) => {
          const failures: unknown[] = []
          const attempt: typeof pushing.attempt = (fn) =>
            fn().catch((error: unknown) => {
              failures.push(error)
              throw error
            })
          const made = await work({ ...pushing, attempt })
          if (failures.length > 0) throw new AggregateError(failures)
          return made
        },
        o,
      ),
  }),

  // Devices.
  'a device’s highest stamps are lost': clients(({ top: _top, topHere: _here, ...row }) => row),
  'a device’s offset is lost': clients((row) => ({ ...row, offsetMs: 0 })),
  'a push forgets the pull before': (store) => {
    const pushes = new Set<string>()
    return {
      async push(q, work, o) {
        pushes.add(q.client)
        return store.push(q, work, o)
      },
      async client(client) {
        const row = await store.client(client)
        return row && pushes.has(client) ? { ...row, pulledAtMs: null } : row
      },
    }
  },
  'the first push is the last': (store) => {
    const first = new Map<string, number | null>()
    return {
      async client(client) {
        const row = await store.client(client)
        if (row === undefined) return row
        if (!first.has(client)) first.set(client, row.pushedAtMs)
        return { ...row, pushedAtMs: first.get(client)! }
      },
    }
  },
  'pulls are not noted': () => ({ pulled: async () => {} }),
  'who pulls owns the device': (store) => {
    const owners = new Map<string, string>()
    return {
      async pulled(client, principal) {
        owners.set(client, principal)
        return store.pulled(client, principal)
      },
      async client(client) {
        const row = await store.client(client)
        return row && { ...row, principal: owners.get(client) ?? row.principal }
      },
    }
  },
  'nothing is known of what an operation was part of': writes(() => ({ correlationId: 'none' })),

  // Changes.
  'a patch makes what is missing': changes((one) => (one.t === 'patch' ? { ...one, t: 'put' } : one)),
  'a put only changes what is there': changes((one) => (one.t === 'put' ? { ...one, t: 'patch' } : one)),
  'a put replaces': (store) => ({
    async change(all, node, o) {
      const before = all.flatMap((one) => (one.t === 'put' ? [{ ...one, t: 'delete' as const, set: {} }] : []))
      await store.change(before, node, o)
      return store.change(all, node, o)
    },
  }),
  'nothing is unset': changes((one) => ({ ...one, unset: [] })),
  'a move sets nothing': changes((one) => (one.t === 'move' ? { ...one, set: {} } : one)),
  'a move is an end': changes((one) => (one.t === 'move' ? { ...one, t: 'delete', set: {} } : one)),
  'a change loses to a clock that is ahead': (store) => ({
    async change(all, node, o) {
      const { records, nowMs } = await peek(store, { client: 'looks', keys: all, ops: [] })
      const isAhead = records.some(({ state }) => Number.parseInt(state.h.slice(0, 9), 36) > nowMs + 60_000)
      return isAhead ? all.map(() => null) : store.change(all, node, o)
    },
  }),
  'changes of one call are versions of their own': (store) => ({
    async change(all, node, o) {
      const stamps = []
      for (const one of all) stamps.push(...(await store.change([one], node, o)))
      return stamps
    },
  }),
  'of two changes at once one counts': (store) => {
    let running = 0
    return {
      async change(all, node, o) {
        running++
        try {
          await new Promise((resolve) => setImmediate(resolve))
          return running > 1 ? all.map(() => null) : await store.change(all, node, o)
        } finally {
          running--
        }
      },
    }
  },
  'stamps are of nobody': (store) => ({ change: (all, _, o) => store.change(all, 'x', o) }),
  'stamps are not told': (store) => ({
    async change(all, node, o) {
      await store.change(all, node, o)
      return all.map(() => null)
    },
  }),
  'what changed nothing is told a stamp': (store) => ({
    async change(all, node, o) {
      const stamps = await store.change(all, node, o)
      return stamps.map((stamp) => stamp ?? `000000000-0000-${node}`)
    },
  }),
  'all scopes always change': (store) => ({
    changed: async (since, scopes) => ({ ...(await store.changed(since, scopes)), scopes }),
  }),
  'nothing ever changes': (store) => ({
    changed: async (since, scopes) => ({ ...(await store.changed(since, scopes)), scopes: [] }),
  }),
  'a token stays what it was': (store) => ({
    async changed(since, scopes) {
      const found = await store.changed(since, scopes)
      return { ...found, token: since ?? found.token }
    },
  }),

  // Conflicts.
  'what is resolved is open': (store) => ({
    async conflicts(q) {
      const both = [
        ...(await store.conflicts({ ...q, status: 'open' })),
        ...(await store.conflicts({ ...q, status: 'resolved' })),
      ]
      return both.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, q.limit)
    },
  }),
  'nothing is resolved': writes(() => ({ resolved: [] })),
  'what is resolved is gone': (store) => ({
    conflicts: async (q) => (q.status === 'resolved' ? [] : store.conflicts(q)),
  }),
  'conflicts of one scope are listed': lists(({ scopes }) => ({ scopes: scopes.slice(0, 1) })),
  'conflicts of scopes above are listed': lists(({ scopes }) => ({
    scopes: scopes.flatMap((scope) => [scope, scope.split('/')[0]!, `${scope}/below`]),
  })),
  'conflicts have no limit': lists(() => ({ limit: 1_000 })),
  'conflicts have one page': lists(() => ({ after: undefined }) as never),
  'conflicts have no order': (store) => ({ conflicts: async (q) => (await store.conflicts(q)).toReversed() }),
  'open conflicts of all devices are counted': (store) => ({
    openConflicts: async () => (await store.inspect()).openConflicts,
  }),
  'what a conflict met is lost': writes(({ conflicts }) => ({
    conflicts: conflicts.map((row) => ({ ...row, current: null })),
  })),
}
