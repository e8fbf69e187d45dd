import type { Pool } from 'pg'
import type { Case, Contender, Figures } from '../../src/case.ts'
import type { Services } from '../../src/services.ts'
import { SNAPSHOT } from './sizes.ts'
import { openTable, type Table } from './table.ts'
import { SCOPE, WHO } from './tasks.ts'

const STORE = 'store.pull()'
const SYNC = 'sync.pull()'
const BARE = 'a bare SELECT of the same pages'
const PAGE = 1_000

/** Reads all pages until `forMs` are over, and begins again behind the last one. `all` ends with the last page. */
type Pages = () => AsyncGenerator<number>

/** A device that has nothing. */
export function bootstrap(services: Services): Case[] {
  const contender = (name: string, pagesOf: (table: Table) => Pages): Contender => ({
    name,
    async open() {
      const table = await openTable(services, SNAPSHOT, 1)
      const statements = timedStatements(table.pool)
      const pages = pagesOf(table)
      let page = pages()
      return {
        async run(forMs): Promise<Figures> {
          const beganMs = performance.now()
          const before = statements.spentMs
          let rows = 0
          while (performance.now() - beganMs < forMs) {
            const { value, done } = await page.next()
            if (done === true) page = pages()
            else rows += value
          }
          const tookMs = performance.now() - beganMs
          return {
            'rows per s': (rows / tookMs) * 1_000,
            'rows per s of the statement': (rows / (statements.spentMs - before)) * 1_000,
          }
        },
        close: () => table.close(),
      }
    },
  })
  return [
    {
      name: `a snapshot of ${SNAPSHOT} records, pages of ${PAGE}`,
      note: 'the statement: from its sending until pg has its answer, one connection; then what is made of it',
      base: BARE,
      runMs: 3_000,
      contenders: [contender(STORE, storePages), contender(SYNC, syncPages), contender(BARE, barePages)],
      targets: [{ of: STORE, figure: 'rows per s of the statement', atLeast: 300_000 }],
    },
  ]
}

/** What `pool.query` waits for the server, pg's own work with rows included. */
function timedStatements(pool: Pool): { readonly spentMs: number } {
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<unknown>
  const timed = { spentMs: 0 }
  pool.query = (async (...args: unknown[]) => {
    const beganMs = performance.now()
    try {
      return await query(...args)
    } finally {
      timed.spentMs += performance.now() - beganMs
    }
  }) as typeof pool.query
  return timed
}

function storePages({ store }: Table): Pages {
  return async function* () {
    let place: { target: string; after: string } | undefined
    for (;;) {
      const scopes = [{ name: SCOPE, isKnown: false }]
      const page = await store.pull({ scopes, collections: null, floor: null, limit: PAGE, ...place })
      if (page.kind !== 'page') throw new Error(page.kind)
      yield page.rows.length
      if (!page.more) return
      place = { target: page.target, after: page.rows.at(-1)!.place }
    }
  }
}

function syncPages({ sync }: Table): Pages {
  return async function* () {
    let cursor: string | null = null
    for (let more = true; more;) {
      const page = await sync.pull(WHO, { v: 1, cursor, limit: PAGE })
      yield page.changes['task']!.created.length
      ;({ cursor, more } = page)
    }
  }
}

/** Along the same index, with what makes a record. pg parses registers, and makes an object of each row. */
function barePages({ pool }: Table): Pages {
  return async function* () {
    for (let after = ['0', '', '']; ;) {
      const { rows } = await pool.query<{ tx: string; c: string; id: string }>({
        name: 'bare',
        text: `select scope, c, id, reg, h, tx::text as tx from sync_record where tx > '0' and scope = $1
          and (tx, c, id) > ($2::xid8, $3, $4) order by sync_record.tx, c, id limit ${PAGE}`,
        values: [SCOPE, ...after],
      })
      if (rows.length === 0) return
      yield rows.length
      const { tx, c, id } = rows.at(-1)!
      after = [tx, c, id]
    }
  }
}
