import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Somebody who can write to a copy of a log: one entry tells something else now. */
export async function forge(folder: string, entry: Uint8Array, from: string, to: string): Promise<void> {
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue
    const path = join(file.parentPath, file.name)
    const bytes = await readFile(path)
    const at = bytes.indexOf(entry)
    if (at === -1) continue
    bytes.write(to, bytes.indexOf(from, at))
    return writeFile(path, bytes)
  }
  throw new Error('the copy does not have this entry')
}
