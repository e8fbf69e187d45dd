/** One of many processes that start at once: migrates when told to and says what it applied. */
import pg from 'pg'
import { migrate, type Migration } from '../../src/postgres/index.ts'

const { url, schema, migrations } = JSON.parse(process.argv[2]!) as {
  url: string
  schema: string
  migrations: Migration[]
}
const pool = new pg.Pool({ connectionString: url, max: 1 })
await pool.query('select 1')
process.send!('ready')
process.once('message', () => {
  void migrate(pool, migrations, { schema })
    .then(
      ({ applied }) => process.send!({ applied }),
      (error: Error) => process.send!({ error: error.message }),
    )
    .then(() => pool.end())
    .then(() => process.disconnect())
})
