import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOwnFile } from './own-file.ts'
import { PlainPGlite } from './plain-pglite.ts'

const manifest = join(import.meta.dirname, '../../node_modules/@electric-sql/pglite/package.json')

/** The data of a new PGlite as one tar file in the temp folder, made once: answers its path. */
export async function makePgliteTemplate(): Promise<string> {
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  const uid = process.getuid?.()
  const path = join(tmpdir(), `keelson-pglite-${version}-${uid}.tar`)
  if (await isOwnFile(path, uid)) return path
  await using db = await PlainPGlite.create()
  const dump = await db.dumpDataDir('none')
  const own = `${path}.${process.pid}`
  await writeFile(own, dump.stream())
  await rename(own, path)
  return path
}
