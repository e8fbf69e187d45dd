import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const conformance = join(import.meta.dirname, '../../src/conformance')

/** The specifiers of values that a module and its imports load. */
function specifiersOf(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return []
  seen.add(file)
  const code = readFileSync(file, 'utf8')
  const direct = [...code.matchAll(/^(?:import|export) (?!type )[^']*from '([^']+)'/gm)].map((match) => match[1]!)
  const inner = direct.filter((specifier) => specifier.startsWith('.'))
  return [...direct, ...inner.flatMap((specifier) => specifiersOf(join(dirname(file), specifier), seen))]
}

test.each(['sync-client-store-suite.ts', 'broken-client-stores.ts'])(
  '%s imports nothing but files of its own, so a page can run it',
  (name) => {
    const found = specifiersOf(join(conformance, name))
    expect(found).not.toEqual([])
    expect(found.filter((specifier) => !specifier.startsWith('.'))).toEqual([])
  },
)
