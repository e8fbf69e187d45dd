import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** Files of a folder in which one of these values is, in any of the ways that a program may write it down. */
export async function filesWith(folder: string, values: readonly (string | Uint8Array)[]): Promise<string[]> {
  const forms = values.flatMap(formsOf)
  const found: string[] = []
  for (const { parentPath, name } of await filesOf(folder)) {
    const path = join(parentPath, name)
    // A server goes on working: what is gone has nothing in it.
    const bytes = await readFile(path).catch(() => Buffer.alloc(0))
    if (forms.some((form) => bytes.includes(form))) found.push(relative(folder, path))
  }
  return found.toSorted()
}

async function filesOf(folder: string): Promise<{ readonly parentPath: string; readonly name: string }[]> {
  return (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
}

/** As bytes, hex in both cases, UTF-16, and base64 at each offset in a longer text. */
function formsOf(value: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(value as Uint8Array)
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].map((offset) => {
    const skipped = offset === 0 ? 0 : 4
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    return text.slice(skipped, text.length - 4)
  })
  const texts = [hex, hex.toUpperCase(), ...base64].map((text) => Buffer.from(text))
  return [bytes, Buffer.from(bytes.toString('latin1'), 'utf16le'), ...texts]
}
