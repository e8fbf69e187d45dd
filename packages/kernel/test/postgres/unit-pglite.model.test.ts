import { PGlite } from '@electric-sql/pglite'
import { afterAll, test } from 'vitest'
import { unitsAreWhole } from './play-units.ts'
import { watchProcess } from './world.ts'

watchProcess()
const db = new PGlite()
afterAll(() => db.close())

test('on PGlite, in whose one connection works stand in line', async () => {
  await db.exec(`
    create table items (sku text not null unique, size int);
    create table effects (label text not null, item text references items(sku) deferrable initially deferred)`)
  const column = async (text: string): Promise<string[]> =>
    (await db.query<[string]>(text, [], { rowMode: 'array' })).rows.map(([value]) => value)
  await unitsAreWhole({
    databaseOf: () => db,
    breaks: () => false,
    committed: async () => ({
      items: await column('select sku from items'),
      effects: await column('select label from effects'),
    }),
    async settled() {
      await db.query('select 1')
    },
  })
})
