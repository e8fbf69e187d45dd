import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Package } from '../packages.ts'

const DECLARATION =
  /^(?:export )?(?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type|enum|namespace) ([\w$]+)/
const LIST = /^export (?:type )?\{([^}]*)\}(?: from '([^']+)')?/gm
const STAR = /^export (?:type )?\*( as [\w$]+)? from '(\.[^']*)'/gm

/** Names that an entry exports although nothing is said of them where they are declared. */
export function docComments(all: readonly Package[]): string[] {
  const read = (file: string): string => readFileSync(file, 'utf8')
  const faults = all.flatMap(({ folder, entries }) =>
    entries.flatMap(({ source }) =>
      [...exportsOf(join(folder, source), read).values()]
        .filter(({ name, file }) => !isDocumented(read(file), name))
        .map(({ name, file }) => `${name} has no doc comment (${file.slice(folder.length + 1)})`),
    ),
  )
  return [...new Set(faults)]
}

interface Declared {
  readonly name: string
  readonly file: string
}

/**
 * What a file exports, by the exported name, followed to where it is declared. A scan of lines is enough: oxfmt starts
 * each statement of a module on its own line, without indentation.
 */
export function exportsOf(file: string, read: (file: string) => string): Map<string, Declared> {
  const source = read(file)
  const found = new Map<string, Declared>()
  const from = (path: string): Map<string, Declared> => exportsOf(join(dirname(file), path), read)
  for (const line of source.split('\n')) {
    const name = line.startsWith('export ') ? DECLARATION.exec(line)?.[1] : undefined
    if (name !== undefined) found.set(name, { name, file })
  }
  for (const [, list = '', path] of source.matchAll(LIST)) {
    // What another package declares is checked there.
    if (path !== undefined && !path.startsWith('.')) continue
    const there = path === undefined ? undefined : from(path)
    for (const part of list.split(',')) {
      const [name = '', exported = name] = part
        .trim()
        .replace(/^type /, '')
        .split(' as ')
      if (name !== '') found.set(exported, there?.get(name) ?? { name, file })
    }
  }
  for (const [, namespace, path = ''] of source.matchAll(STAR)) {
    if (namespace === undefined) for (const [name, declared] of from(path)) found.set(name, declared)
  }
  return found
}

/** True when the declaration of `name` stands right below a doc comment; of overloads, the first. */
export function isDocumented(source: string, name: string): boolean {
  const lines = source.split('\n')
  const at = lines.findIndex((line) => DECLARATION.exec(line)?.[1] === name)
  // Imported from another package, which is checked there.
  if (at === -1) return true
  if (at === 0 || !lines[at - 1]!.endsWith('*/')) return false
  const begin = lines.slice(0, at).findLast((line) => /^ *\/\*/.test(line))
  return begin?.startsWith('/**') ?? false
}
