import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import * as core from '../src/core.ts'
import * as kernel from '../src/index.ts'

const src = join(import.meta.dirname, '../src')

/** The specifiers that a module and its imports load. */
function specifiersOf(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return []
  seen.add(file)
  const code = readFileSync(file, 'utf8')
  const direct = [...code.matchAll(/^(?:import|export) (?!type )[^']*from '([^']+)'/gm)].map((match) => match[1]!)
  const inner = direct.filter((specifier) => specifier.startsWith('.'))
  return [...direct, ...inner.flatMap((specifier) => specifiersOf(join(dirname(file), specifier), seen))]
}

test('/core imports nothing but files of its own, so it runs in a browser', () => {
  expect(specifiersOf(join(src, 'core.ts')).filter((specifier) => !specifier.startsWith('.'))).toEqual([])
})

test('the kernel imports nothing but node: and files of its own, no driver anywhere', () => {
  const entries = ['index.ts', 'postgres/index.ts', 'testing/index.ts']
  const foreign = entries.flatMap((entry) => specifiersOf(join(src, entry))).filter((one) => !one.startsWith('.'))
  expect(foreign.filter((specifier) => !specifier.startsWith('node:'))).toEqual([])
  expect(foreign).not.toEqual([])
})

test('/core gives the same classes as the kernel', () => {
  for (const [name, value] of Object.entries(core)) expect(kernel).toHaveProperty(name, value)
})
