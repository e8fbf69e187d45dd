import { memoryStore, OpRejected, type Caller, type Op, type SyncStore, type Win } from '@keelson/sync'
import type { Tx } from '@keelson/kernel'
import { expect, onTestFinished, test } from 'vitest'
import { formatStamp, stampAfter } from '../src/stamp.ts'
import { ann, bob, openDevice, openSync } from './open-sync.ts'
import { openPostgres } from './postgres/open-postgres.ts'

const SCOPE = 'acme/team:1'
const PERSON = 'Bob Example'
/** What is known of them. */
const VALUE = 'lives in 4711 Cologne'
const OTHER = { owner: 'Eve Example', note: 'lives elsewhere' }
const MONTH_MS = 31 * 86_400_000

interface Note {
  team: string
  owner: string
  note: string
  sum: number
}

/** Stores, and every text that they keep. */
const places: Record<string, () => Promise<{ store: SyncStore; tables(): Promise<string> }>> = {
  memory: async () => ({ store: memoryStore(), tables: async () => '' }),
  async Postgres() {
    const opened = await openPostgres(undefined, { max: 4 })
    onTestFinished(() => opened[Symbol.asyncDispose]())
    const { store, query, schema } = opened
    return {
      store,
      async tables() {
        const { rows } = await query('select table_name from information_schema.tables where table_schema = $1', [
          schema,
        ])
        const all = rows.map(({ table_name: name }) => query(`select t::text as row from ${schema}.${name} t`))
        return JSON.stringify((await Promise.all(all)).map(({ rows }) => rows))
      },
    }
  },
}

const notes = {
  fields: { team: 'lww', owner: 'lww', note: { rule: 'lww', notify: true }, sum: 'strict' },
  scope: ({ team }: Note) => `acme/team:${team}`,
  // Of an edit that is no document of the collection nothing can be made.
  subject: ({ owner }: Note) => owner.trim(),
  authorize: (_: Caller, op: Op) => (op.id === 'forbidden' ? `not for you: ${JSON.stringify(op.set)}` : true),
  schema: {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: unknown) =>
        (value as Note).sum === -1 ? { issues: [{ message: `-1 of ${(value as Note).note}` }] } : { value },
    },
  },
  async apply(tx: Tx | undefined, wins: readonly Win<Note>[]) {
    for (const { id, op, after } of wins) {
      if (id === 'refused') throw new OpRejected(op, 'full', `no room for ${after?.note}`)
      if (id === 'taken' && tx !== undefined) throw Object.assign(new Error('taken'), { code: '23505' })
    }
  },
}

test.each(Object.entries(places))(
  'on %s nothing is left of a person who is erased, whatever their edits came to',
  async (name, open) => {
    const { store, tables } = await open()
    await using sync = openSync({ store, task: notes })
    const [device, other] = [openDevice(sync, ann, 'd1'), openDevice(sync, bob, 'd2')]
    const about = { owner: PERSON, note: VALUE }
    const sent: Op[] = []
    const codes: (string | undefined)[] = []
    const op = (...args: Parameters<typeof device.op>): Op => {
      const made = device.op(...args)
      sent.push(made)
      return made
    }
    const late = { ...op('late', 'put', { set: { team: '1', ...about } }) }
    late.h = formatStamp({ ms: Date.now() - MONTH_MS, counter: 0, node: 'd1' })
    const first = await device.push(
      op('kept', 'put', { set: { team: '1', ...about } }),
      ...['passed', 'hidden', 'lost', 'back'].map((id) => op(id, 'put', { set: { team: '1', sum: 1, ...about } })),
    )
    expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'applied'))
    const older = op('lost', 'patch', { set: { note: `${VALUE}, before` } })
    await other.push(other.op('lost', 'patch', { set: { note: `${VALUE}, now` }, h: stampAfter(older.h, 'd2') }))
    await device.push(op('back', 'delete'))
    const edits: Op[] = [
      // What never came to be.
      op('never', 'patch', { set: about }),
      op('outside', 'put', { set: { team: '9', ...about } }),
      op('unknown', 'put', { set: { team: '1', ...about }, s: 'AAAAAAAAAAA' }),
      late,
      ...(name === 'memory' ? [] : [op('taken', 'put', { set: { team: '1', ...about } })]),
      // What will be about somebody else.
      op('passed', 'patch', { set: { sum: 2, note: VALUE }, base: {} }),
      op('hidden', 'patch', { set: { team: '9', note: VALUE } }),
      older,
      op('back', 'patch', { set: { note: VALUE } }),
      // What is rejected, and says why.
      op('forbidden', 'put', { set: { team: '1', ...about } }),
      op('refused', 'put', { set: { team: '1', ...about } }),
      op('invalid', 'put', { set: { team: '1', sum: -1, ...about } }),
      op('never', 'patch', { set: OTHER }),
    ]
    codes.push(...(await device.push(...edits)).map(({ status, code }) => code ?? status))
    expect(codes).toEqual([
      'gone',
      'scope-lost',
      'scope-lost',
      'expired',
      ...(name === 'memory' ? [] : ['invariant']),
      'stale-base',
      'scope-lost',
      'superseded',
      'gone',
      'forbidden',
      'full',
      'invalid',
      'gone',
    ])
    // All in one push, before which nothing was known of it.
    const made = [{ team: '1', ...about }, { team: '9', note: VALUE }, { team: '9', ...OTHER, note: VALUE }, OTHER]
    const results = await device.push(...made.map((set) => op('made', 'put', { set })))
    expect(results.map(({ status, code }) => code ?? status)).toEqual([
      'applied',
      'scope-lost',
      'scope-lost',
      'applied',
    ])
    const passed = ['passed', 'hidden', 'lost', 'back'].map((id) => op(id, 'put', { set: { team: '1', ...OTHER } }))
    expect((await device.push(...passed)).map(({ status }) => status)).toEqual(passed.map(() => 'applied'))

    /** All that anybody is told. */
    async function told(): Promise<string> {
      const lists = [ann, bob].flatMap((who) =>
        (['open', 'resolved'] as const).map((status) => sync.conflicts.list(who, { status, limit: 100 })),
      )
      const replays = await device.push(...sent)
      expect(replays.every(({ replay }) => replay === true)).toBe(true)
      const pages = await openDevice(sync, ann, 'd3').pull()
      return JSON.stringify([await Promise.all(lists), replays, pages, await tables()])
    }
    expect(await told()).toContain(VALUE)
    await sync.eraseSubject(SCOPE, PERSON)
    // What cannot be told to belong anywhere is kept in the first scope of its author.
    await sync.eraseSubject('acme/user:ann', PERSON)
    const left = await told()
    expect(left).not.toContain(VALUE)
    expect(left).not.toContain(PERSON)
    // Nobody else's is touched.
    const { items } = await sync.conflicts.list(ann)
    expect(items.map(({ op }) => op.set)).toEqual([OTHER])
    await device.pull()
    expect([...device.records.values()].map(({ id, doc }) => [id, doc['owner']]).toSorted()).toEqual(
      ['back', 'hidden', 'lost', 'made', 'passed'].map((id) => [id, OTHER.owner]),
    )
  },
)
