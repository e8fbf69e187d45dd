import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { postgresStore } from '../../src/postgres/index.ts'
import { aChange, aDelete } from './steps.ts'

/*
 * Writers with a connection each. Each transaction writes a record of its own and a row of a table that has what naive
 * cursors go by, and ends in one of many ways, some time later.
 */
const { DATABASE_URL = '', SCHEMA = '', NAME = '', SCOPES = '', WRITERS = '', ROUNDS = '' } = process.env
const scopes = SCOPES.split(' ')
const store = postgresStore(new pg.Pool({ connectionString: DATABASE_URL, max: 1 }), { schema: SCHEMA })

async function write(writer: number): Promise<void> {
  const client = new pg.Client({ connectionString: DATABASE_URL })
  await client.connect()
  const put = async (id: string, scope: string): Promise<void> => {
    await store.change([aChange(scope, id)], 'n1', { tx: client })
    await client.query(`insert into ${SCHEMA}.naive (id) values ($1)`, [id])
  }
  for (let round = 0; round < Number(ROUNDS); round++) {
    const id = `${NAME}_${writer}_${round}`
    const how = (writer + round) % 8
    const scope = scopes[round % scopes.length]!
    await client.query('begin')
    await put(id, scope)
    await sleep(Math.random() * 20)
    await client.query('savepoint one')
    await put(`${id}_one`, scopes[(round + 1) % scopes.length]!)
    if (how % 2 === 1) await client.query('rollback to one')
    // What is there already, with a version of now.
    if (round > 2)
      await store.change([aDelete(scopes[(round - 2) % scopes.length]!, `${NAME}_${writer}_${round - 2}`)], 'n1', {
        tx: client,
      })
    if (how >= 5) {
      await client.query(`prepare transaction '${id}'`)
      await sleep(Math.random() * 20)
      await client.query(`${how === 5 ? 'rollback' : 'commit'} prepared '${id}'`)
    } else await client.query(how === 4 ? 'rollback' : 'commit')
  }
  await client.end()
}

process.send!({ ready: true })
await Promise.all(Array.from({ length: Number(WRITERS) }, (_, writer) => write(writer)))
process.disconnect()
