import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Package } from '../packages.ts'

/** Names that an entry exports although nothing is said of them where they are declared. */
export function docComments(all: readonly Package[]): string[] {
  return all.flatMap(({ folder, entries }) =>
    entries.flatMap(({ specifier, source }) =>
      exportsOf(join(folder, source))
        .filter(({ name, file }) => !isDocumented(readFileSync(file, 'utf8'), name))
        .map(({ name, file }) => `${specifier}: ${name} has no doc comment (${file.slice(folder.length + 1)})`),
    ),
  )
}

/** What a file re-exports from its own package, with the file that declares it. */
function exportsOf(file: string): { name: string; file: string }[] {
  const source = readFileSync(file, 'utf8')
  const lists = [...source.matchAll(/export (?:type )?\{([^}]*)\} from '(\.[^']*)'/g)]
  const declared = [...source.matchAll(DECLARATION)].map((match) => ({ name: match[1]!, file }))
  return [
    ...declared,
    ...lists.flatMap(([, names = '', from = '']) => {
      const target = join(dirname(file), from)
      return names
        .split(',')
        .map(
          (name) =>
            name
              .trim()
              .replace(/^type /, '')
              .split(' as ')[0]!,
        )
        .filter((name) => name !== '')
        .map((name) => ({ name, file: target }))
    }),
  ]
}

const DECLARATION = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|function|class|interface|type) (\w+)/gm

/** True when the declaration of `name` follows a doc comment; of overloads, the first. */
export function isDocumented(source: string, name: string): boolean {
  const declaration = new RegExp(
    `^export (?:declare )?(?:abstract )?(?:async )?(?:const|function|class|interface|type) ${name}\\b`,
    'm',
  )
  const at = source.search(declaration)
  // Re-exported from another module, which is checked where it is an entry.
  if (at === -1) return true
  return source.slice(0, at).trimEnd().endsWith('*/')
}
