/**
 * What tests get for `@electric-sql/pglite` (vitest.config.ts). A new PGlite runs `initdb`, which takes
 * two seconds of a core; this one, in memory, unpacks its result in half of one.
 */
import { readFileSync } from 'node:fs'
import type { PGliteOptions } from '@electric-sql/pglite'
import { PlainPGlite } from './plain-pglite.ts'

export class PGlite extends PlainPGlite {
  constructor(dataDir?: string, options: PGliteOptions = {}) {
    if (dataDir === undefined)
      super({ ...options, loadDataDir: new Blob([readFileSync(process.env['PGLITE_TEMPLATE']!)]) })
    else super(dataDir, options)
  }

  static override async create(...given: any[]): Promise<any> {
    const db = new PGlite(...given)
    await db.waitReady
    return db
  }
}
