import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Package } from '../packages.ts'
import { headingsOf } from './markdown.ts'

const ORDER = ['Install', 'Ten lines', 'Guarantees', 'Options', 'Stores', 'Errors', 'Operating']

/** Each package's README has the same headings in the same order; one may be missing, others come after Operating. */
export function readmeHeadings(all: readonly Pick<Package, 'name' | 'folder'>[]): string[] {
  return all.flatMap(({ name, folder }) => {
    const file = join(folder, 'README.md')
    if (!existsSync(file)) return [`${name} has no README.md`]
    return headingFaults(readFileSync(file, 'utf8')).map((fault) => `${name}: ${fault}`)
  })
}

/** What is wrong with the second-level headings of a README. */
export function headingFaults(markdown: string): string[] {
  const headings = headingsOf(markdown).flatMap(({ level, text }) => (level === 2 ? [text] : []))
  const missing = ['Install', 'Ten lines', 'Guarantees', 'Errors'].filter((heading) => !headings.includes(heading))
  const known = headings.slice(0, headings.indexOf('Operating') + 1 || headings.length)
  const ranks = known.map((heading) => ORDER.indexOf(heading))
  return [
    ...missing.map((heading) => `no heading '${heading}'`),
    ...known.filter((_, i) => ranks[i] === -1).map((heading) => `heading '${heading}' stands before Operating`),
    ...known
      .filter((_, i) => i > 0 && ranks[i]! < ranks[i - 1]!)
      .map((heading) => `heading '${heading}' is out of order`),
  ]
}
