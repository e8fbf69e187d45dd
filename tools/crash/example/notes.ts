import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { flight } from '../flight.ts'
import type { Counts, CrashScenario } from '../scenario.ts'

/** What the tool must find: `notes.ts?broken=told-early`. */
const broken = new URL(import.meta.url).searchParams.get('broken')

if (broken !== 'no-flight') flight(pg.Client.prototype, 'query')

/** A note and its line in an outbox, in one transaction. The same key again answers the same id. */
const scenario: CrashScenario = {
  async open({ databaseUrl, space, folder }) {
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 12 })
    pool.on('error', () => {})
    await pool.query(`create table if not exists ${space}_note (key text primary key, id serial);
create table if not exists ${space}_outbox (key text)`)
    const exited = join(folder, 'exited')

    async function write(key: string): Promise<string> {
      if (broken === 'hangs') await new Promise(() => {})
      if (broken === 'silent') return undefined as never
      if (broken === 'throws' && key === '1-0') throw new Error('out of ink')
      if (broken === 'exits' && key === '1-0' && !existsSync(exited)) {
        writeFileSync(exited, '')
        process.exit(7)
      }
      const client = await pool.connect()
      const outbox = () => client.query(`insert into ${space}_outbox(key) values ($1)`, [key])
      const commit = async (): Promise<void> => {
        await client.query('commit')
        if (first && broken === 'effects-behind-commit') await outbox()
        client.release()
      }
      await client.query('begin')
      const { rows } = await client.query<{ id: number; first: boolean }>(
        `insert into ${space}_note(key) values ($1) on conflict (key) do update set key = excluded.key
returning id, xmax = 0 as first`,
        [key],
      )
      const { id, first } = rows[0]!
      if (first ? broken !== 'effects-behind-commit' : broken === 'again') await outbox()
      if (broken === 'told-early') setTimeout(() => void commit(), 5)
      else await commit()
      return broken === 'other-answer' ? `note ${Math.random()}` : `note ${id}`
    }

    return {
      write,
      async read(keys) {
        const { rows } = await pool.query<{ key: string; notes: number; lines: number }>(
          `select key, (select count(*)::int from ${space}_note n where n.key = k.key) as notes,
  (select count(*)::int from ${space}_outbox o where o.key = k.key) as lines from unnest($1::text[]) as k(key)`,
          [keys],
        )
        return new Map<string, Counts>(rows.map(({ key, ...counts }) => [key, counts]))
      },
    }
  },
}
export default scenario
