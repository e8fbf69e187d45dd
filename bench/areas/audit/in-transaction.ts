import { createHash, randomInt } from 'node:crypto'
import { createAudit, generateKey, type Audit } from '@keelson/audit'
import { postgresStore } from '@keelson/audit/postgres'
import { migrate, transact } from '@keelson/kernel/postgres'
import type { Tx } from '@keelson/kernel'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { documentOf, inputOf } from './entry.ts'
import { newSchema } from './journals.ts'

const ALONE = 'a transaction alone'
const WITH = 'with an entry'
const CHAIN = 'with a hash chain, its head FOR UPDATE'

const WRITERS = 16
const ACCOUNTS = 100_000

/** Two rows of business, and what says who did it. */
export function inTransaction(services: Services): Case[] {
  async function open(name: string, url: string, connections: number) {
    const schema = newSchema(services)
    const { pool, close } = await openPool(url, schema, connections)
    await pool.query(`create table orders (id bigserial primary key, account int, cents int);
      create table accounts (id int primary key, cents bigint);
      insert into accounts select n, 0 from generate_series(1, ${ACCOUNTS}) as n;
      create table head (scope text primary key, hash bytea);
      insert into head values ('acme', decode('00', 'hex'));
      create table chain (id bigserial primary key, body jsonb, hash bytea)`)
    const store = postgresStore(pool, { schema })
    await migrate(pool, [store])
    const key = generateKey('bench.example/audit').signer
    const audit = createAudit({ store, key, storeTimeout: '1m' })
    if (name === WITH && connections > 1) await audit.start()
    let n = 0
    return {
      write: () =>
        transact(pool, async (tx) => {
          const account = 1 + randomInt(ACCOUNTS)
          await tx.query('insert into orders (account, cents) values ($1, 5)', [account])
          await tx.query('update accounts set cents = cents + 5 where id = $1', [account])
          if (name === CHAIN) await appendToChain(tx, n++)
          return { value: undefined, effects: name === WITH ? [(audit satisfies Audit).entry(inputOf(n++))] : [] }
        }),
      async close() {
        await audit.close()
        await close()
      },
    }
  }
  const timed = (name: string): Contender => ({
    name,
    async open() {
      const { write, close } = await open(name, await services.databaseUrl(), WRITERS + 1)
      return { run: (forMs) => closedLoop(WRITERS, forMs, write), close }
    },
  })
  const counted = (name: string): Contender => ({
    name,
    async open() {
      const url = new URL(await services.databaseUrl())
      const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
      url.host = `${proxy.host}:${proxy.port}`
      const { write, close } = await open(name, url.href, 1)
      return {
        async run() {
          await write()
          proxy.resetCount()
          await write()
          return { flights: proxy.roundTrips }
        },
        async close() {
          await close()
          await proxy.close()
        },
      }
    },
  })
  return [
    {
      name: `a transaction and an entry, ${WRITERS} writers`,
      note: 'two rows of business; ours is sealed meanwhile, by the same process',
      base: ALONE,
      runMs: 3_000,
      contenders: [timed(WITH), timed(CHAIN), timed(ALONE)],
      targets: [
        { of: WITH, figure: 'per s', over: ALONE, atLeast: 0.8 },
        { of: WITH, figure: 'per s', over: CHAIN, atLeast: 2 },
      ],
    },
    {
      name: 'a transaction and an entry, flights',
      exact: true,
      contenders: [counted(WITH), counted(CHAIN), counted(ALONE)],
      targets: [{ of: WITH, figure: 'flights', minus: ALONE, atMost: 0 }],
    },
  ]
}

/** As it is written by hand: the last hash is locked, and all who write wait for its transaction. */
async function appendToChain(tx: Tx, n: number): Promise<void> {
  const { rows } = await tx.query("select hash from head where scope = 'acme' for update")
  const body = JSON.stringify(documentOf(n))
  const hash = createHash('sha256').update(rows[0].hash).update(body).digest()
  await tx.query('insert into chain (body, hash) values ($1, $2)', [body, hash])
  await tx.query("update head set hash = $1 where scope = 'acme'", [hash])
}
