import { randomUUID } from 'node:crypto'
import { createAudit, generateKey } from '@keelson/audit'
import { postgresStore as auditStore } from '@keelson/audit/postgres'
import { migrate, transact } from '@keelson/kernel/postgres'
import type { Tx } from '@keelson/kernel'
import type { Collections, Op, PushRequest } from '@keelson/sync'
import { postgresStore } from '@keelson/sync/postgres'
import type { Pool } from 'pg'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { EDITS } from './sizes.ts'
import { newSchema } from './table.ts'
import { idOf, openSync, SCOPE, stampOf, taskOf, titleOf, WHO, type Task } from './tasks.ts'

const ENTRY = 'push, an audit entry in its transaction'
const ENTRIES = `push, ${EDITS} audit entries`
const MIRRORED = 'push, an audit entry and the upsert of the tasks'
const PLAIN = 'push'
const UPSERT = 'a bare UNNEST upsert'

const DEVICES = 4
/** Each device writes all of its own again and again. */
const TASKS = 1_000

/** A device pushes as many times as it likes. */
interface Pusher {
  /** What comes next from a device, not sent. */
  next(device: number): PushRequest
  push(request: PushRequest): Promise<void>
  close(): Promise<void>
}

/** A push against the upsert that it is at heart. */
export function pushes(services: Services): Case[] {
  const timed = (name: string): Contender => ({
    name,
    async open() {
      const { next, push, close } = await openPusher(name, services, await services.databaseUrl(), DEVICES)
      const idle = Array.from({ length: DEVICES }, (_, device) => device)
      const one = async (): Promise<void> => {
        const device = idle.pop()!
        await push(next(device))
        idle.push(device)
      }
      return { run: (forMs) => closedLoop(DEVICES, forMs, one), close }
    },
  })
  const counted = (name: string): Contender => ({
    name,
    async open() {
      const url = new URL(await services.databaseUrl())
      const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
      url.host = `${proxy.host}:${proxy.port}`
      const { next, push, close } = await openPusher(name, services, url.href, 1)
      return {
        async run() {
          await push(next(0))
          proxy.resetCount()
          await push(next(0))
          return { trips: proxy.roundTrips }
        },
        async close() {
          await close()
          await proxy.close()
        },
      }
    },
  })
  const replay = (name: string, isAgain: boolean): Contender => ({
    name,
    async open() {
      const { next, push, close } = await openPusher(ENTRY, services, await services.databaseUrl(), 1)
      let last = next(0)
      await push(last)
      const one = async (): Promise<void> => {
        if (!isAgain) last = next(0)
        await push(last)
      }
      return { run: (forMs) => closedLoop(1, forMs, one), close }
    },
  })
  const names = [ENTRY, ENTRIES, MIRRORED, PLAIN, UPSERT]
  return [
    {
      name: `a push of ${EDITS} operations, ${DEVICES} devices`,
      note: 'each told apart from a repeat, merged field by field, with a result that is kept; the upsert writes the same tasks, a column each field',
      base: UPSERT,
      runMs: 3_000,
      contenders: names.map(timed),
      targets: [{ of: ENTRY, figure: 'per s', over: UPSERT, atLeast: 0.45, aim: 0.7 }],
    },
    {
      name: `a push of ${EDITS} operations, round trips`,
      exact: true,
      contenders: names.map(counted),
      targets: [{ of: ENTRY, figure: 'trips', atMost: 8 }],
    },
    {
      name: 'the same push again, one device',
      base: 'the first time',
      contenders: [replay('again', true), replay('the first time', false)],
      targets: [{ of: 'again', figure: 'per s', over: 'the first time', atLeast: 10 }],
    },
  ]
}

async function openPusher(name: string, services: Services, url: string, devices: number): Promise<Pusher> {
  const schema = newSchema(services)
  const { pool, close } = await openPool(url, schema, devices)
  await pool.query(`create table task (id text primary key, team text, title text, done boolean, note text)`)
  const stores = [postgresStore(pool, { schema, storeTimeout: '1m' }), auditStore(pool, { schema })] as const
  await migrate(pool, [...stores])
  const audit = createAudit({ store: stores[1], key: generateKey('bench.example/audit').signer, storeTimeout: '1m' })
  const entryOf = (id: string) =>
    audit.entry({
      scope: 'acme',
      action: 'task.sync',
      actor: { type: 'user', id: 'ann' },
      target: { type: 'task', id },
    })
  const applies: Record<string, NonNullable<Collections[string]['apply']>> = {
    [ENTRY]: async (_tx, wins) => [entryOf(wins[0]!.id)],
    [ENTRIES]: async (_tx, wins) => wins.map(({ id }) => entryOf(id)),
    [MIRRORED]: async (tx, wins) => {
      await upsert(
        tx!,
        wins.map(({ id, after }) => ({ id, task: after as unknown as Task })),
      )
      return [entryOf(wins[0]!.id)]
    },
  }
  const sync = openSync(stores[0], applies[name])
  const nextOf = requests()
  const pusher: Pusher = {
    next: nextOf,
    async push(request) {
      if (name === UPSERT) return upsertAlone(pool, request)
      const { results } = await sync.push(WHO, request)
      if (results.some(({ status }) => status !== 'applied')) throw new Error(JSON.stringify(results[0]))
    },
    async close() {
      await sync.close()
      await audit.close()
      await close()
    },
  }
  // Then there is nothing left to create.
  for (let device = 0; device < devices; device++)
    for (let n = 0; n < TASKS; n += EDITS) await pusher.push(nextOf(device))
  await pool.query('vacuum (analyze)')
  return pusher
}

/** Puts of whole tasks, each of a new title. */
function requests(): (device: number) => PushRequest {
  const made: number[] = []
  return (device) => {
    const from = made[device] ?? 0
    made[device] = from + EDITS
    const sentAt = Date.now()
    const ops = Array.from({ length: EDITS }, (_, i): Op => {
      const n = device * TASKS + ((from + i) % TASKS)
      const h = stampOf(sentAt, i, `dev${device}`)
      return { op: randomUUID(), c: 'task', id: idOf(n), t: 'put', h, set: { ...taskOf(n), title: titleOf(from, n) } }
    })
    return { v: 1, client: `device-${device}`, sentAt, ops }
  }
}

async function upsertAlone(pool: Pool, { ops }: PushRequest): Promise<void> {
  const rows = ops.map(({ id, set }) => ({ id, task: set as unknown as Task }))
  await transact(pool, async (tx) => {
    await upsert(tx, rows)
    return { value: undefined, effects: [] }
  })
}

async function upsert(tx: Tx, rows: readonly { id: string; task: Task }[]): Promise<void> {
  await tx.query(
    `insert into task (id, team, title, done, note)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[])
    on conflict (id) do update set team = excluded.team, title = excluded.title, done = excluded.done, note = excluded.note`,
    [
      rows.map(({ id }) => id),
      rows.map(({ task }) => task.team),
      rows.map(({ task }) => task.title),
      rows.map(({ task }) => task.done),
      rows.map(({ task }) => task.note),
    ],
  )
}

/** The business of a transaction, and the record that devices are told of. */
export function changeInTransaction(services: Services): Case[] {
  const WITH = 'with a change'
  const ALONE = 'a transaction alone'
  const WRITERS = 16
  const contender = (name: string): Contender => ({
    name,
    async open() {
      const schema = newSchema(services)
      const { pool, close } = await openPool(await services.databaseUrl(), schema, WRITERS)
      await pool.query(`create table orders (id bigserial primary key, account int, cents int);
        create table accounts (id int primary key, cents bigint);
        insert into accounts select n, 0 from generate_series(0, 99999) as n`)
      const store = postgresStore(pool, { schema })
      await migrate(pool, [store])
      const sync = openSync(store)
      let made = 0
      const write = (): Promise<unknown> =>
        transact(pool, async (tx) => {
          const n = (made += 7_919) % 100_000
          await tx.query('insert into orders (account, cents) values ($1, 5)', [n])
          await tx.query('update accounts set cents = cents + 5 where id = $1', [n])
          const change = { t: 'put' as const, id: idOf(n), set: taskOf(made) }
          return { value: undefined, effects: name === WITH ? [sync.change('task', change, { scope: SCOPE })] : [] }
        })
      return {
        run: (forMs) => closedLoop(WRITERS, forMs, write),
        async close() {
          await sync.close()
          await close()
        },
      }
    },
  })
  return [
    {
      name: `a transaction and a change, ${WRITERS} writers`,
      note: 'two rows of business; the change puts a task of four fields',
      base: ALONE,
      runMs: 3_000,
      contenders: [contender(WITH), contender(ALONE)],
      targets: [{ of: WITH, figure: 'per s', over: ALONE, atLeast: 0.85 }],
    },
  ]
}
