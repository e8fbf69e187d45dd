import type { Database, Tx } from '../../tx.ts'
import type { Suite } from '../suite.ts'
import type { Tools } from '../tools.ts'

/** A database under test; tables are made in its default schema, and dropped. */
export interface DatabaseSubject {
  readonly db: Database
}

/**
 * What a {@link Database} promises, so that `unit` and `transact` work over it. Ability `parallel`: two transactions can
 * be open side by side; an embedded database with one connection has it not.
 */
export const databaseSuite: Suite<DatabaseSubject> = {
  name: 'database',
  of: 'db',
  cases: [
    {
      name: 'a query answers its rows as objects by column',
      async run({ db }, { equal }) {
        const { rows } = await db.query("select 1 as one, 'a' as letter union all select 2, 'b' order by 1")
        equal(plain(rows), [
          { one: 1, letter: 'a' },
          { one: 2, letter: 'b' },
        ])
      },
    },
    {
      name: 'values are bound, not pasted: quotes, nothing, numbers, truth, bytes, JSON',
      async run({ db }, { equal }) {
        const text = `it's "quoted" \\ $1 -- é 😀\n`
        const { rows } = await db.query(
          'select $1::text as text, $2::text as none, $3::int as int, $4::boolean as truth, $5::bytea as bytes, $6::jsonb as json',
          [text, null, -7, false, new Uint8Array([0, 255, 39, 92, 13]), JSON.stringify({ a: ["'"] })],
        )
        const { bytes, ...others } = rows[0] as { bytes: Uint8Array }
        equal({ ...others }, { text, none: null, int: -7, truth: false, json: { a: ["'"] } })
        equal([...bytes], [0, 255, 39, 92, 13])
      },
    },
    {
      name: 'an error of the server has its SQLSTATE as code, and the next query works',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          await tools.rejects(db.query('select * from no_such_table_of_anybody'), '42P01')
          await tools.rejects(db.query(`insert into ${table} values (1), (1)`), '23505')
          tools.equal(await numbersIn(db, table), [])
          await db.transaction((tx) => tools.rejects(tx.query('select 1/0'), '22012')).catch(() => {})
          tools.equal(plain((await db.query('select 1 as one')).rows), [{ one: 1 }])
        }),
    },
    {
      name: 'a transaction answers what its work did, and its rows stay',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          const value = { told: true }
          const answer = await db.transaction(async (tx) => {
            const { rows } = await tx.query(`insert into ${table} values ($1) returning n`, [1])
            tools.equal(plain(rows), [{ n: 1 }])
            tools.equal(await numbersIn(tx, table), [1])
            return value
          })
          tools.ok(answer === value, 'another value came out')
          tools.equal(await numbersIn(db, table), [1])
        }),
    },
    {
      name: 'a work that throws leaves nothing, and its error comes out as it is',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          for (const thrown of [new Error('no'), 'a text', undefined]) {
            const found = await db
              .transaction(async (tx) => {
                await tx.query(`insert into ${table} values (1)`)
                // oxlint-disable-next-line only-throw-error -- some works throw what is no error
                throw thrown
              })
              .then(
                () => 'it resolved',
                (error: unknown) => [error],
              )
            tools.ok(Array.isArray(found) && found[0] === thrown, `threw ${String(thrown)}, got ${String(found)}`)
          }
          tools.equal(await numbersIn(db, table), [])
        }),
    },
    {
      name: 'a statement that fails fails the transaction, with its own error',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          const work = db.transaction(async (tx) => {
            await tx.query(`insert into ${table} values (1)`)
            await tx.query(`insert into ${table} values (1)`)
          })
          await tools.rejects(work, '23505')
          tools.equal(await numbersIn(db, table), [])
        }),
    },
    {
      name: 'a COMMIT that fails is a rejection with its SQLSTATE',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          await db.query(`create table ${table}_late (n int references ${table}(n) deferrable initially deferred)`)
          try {
            await tools.rejects(
              db.transaction((tx) => tx.query(`insert into ${table}_late values (7)`)),
              '23503',
            )
          } finally {
            await db.query(`drop table ${table}_late`)
          }
        }),
    },
    {
      name: 'a work runs once',
      async run({ db }, { equal }) {
        let runs = 0
        await db.transaction(async () => void runs++)
        await db
          .transaction(async () => {
            runs++
            throw new Error('no')
          })
          .catch(() => {})
        equal(runs, 2)
      },
    },
    {
      name: 'what is set for a transaction ends with it',
      async run({ db }, { equal, together }) {
        await db.transaction((tx) => tx.query("select set_config('keelson.suite', 'mine', true)"))
        const seen = await together(8, async () => {
          const { rows } = await db.query("select coalesce(current_setting('keelson.suite', true), '') as mine")
          return (rows[0] as { mine: string }).mine
        })
        equal([...new Set(seen)], [''])
      },
    },
    {
      name: 'twenty transactions at once, half of them failing, keep their own rows, and every connection comes back',
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          const answers = await tools.together(20, (n) =>
            db
              .transaction(async (tx) => {
                await tx.query(`insert into ${table} values ($1)`, [n])
                if (n % 2 === 1) throw new Error('odd')
                return n
              })
              .catch((error: Error) => error.message),
          )
          tools.equal(
            answers,
            Array.from({ length: 20 }, (_, n) => (n % 2 === 1 ? 'odd' : n)),
          )
          tools.equal(
            await numbersIn(db, table),
            Array.from({ length: 10 }, (_, n) => 2 * n),
          )
        }),
    },
    {
      name: 'nobody else sees the rows of an open transaction, nor is part of it',
      needs: ['parallel'],
      run: ({ db }, tools) =>
        withTable(db, tools, async (table) => {
          await db
            .transaction(async (tx) => {
              await tx.query(`insert into ${table} values (1)`)
              tools.equal(await numbersIn(db, table), [])
              await db.query(`insert into ${table} values (2)`)
              await db.transaction((other) => other.query(`insert into ${table} values (3)`))
              throw new Error('back')
            })
            .catch((error: Error) => tools.equal(error.message, 'back'))
          tools.equal(await numbersIn(db, table), [2, 3])
        }),
    },
  ],
}

/** Rows as plain objects: a driver may give them a prototype of its own. */
function plain(rows: readonly object[]): object[] {
  return rows.map((row) => ({ ...row }))
}

async function numbersIn(db: Pick<Tx, 'query'>, table: string): Promise<number[]> {
  const { rows } = await db.query(`select n from ${table} order by n`)
  return rows.map(({ n }: { n: number }) => n)
}

async function withTable(db: Database, { random }: Tools, run: (table: string) => Promise<void>): Promise<void> {
  // The clock too: two runs may share a seed.
  const table = `keelson_suite_${Date.now().toString(36)}_${Math.floor(random() * 2 ** 31).toString(36)}`
  await db.query(`create table ${table} (n int primary key)`)
  try {
    await run(table)
  } finally {
    await db.query(`drop table ${table}`)
  }
}
