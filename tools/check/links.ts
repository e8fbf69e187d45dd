import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { root } from '../packages.ts'
import type { TextFile } from './tracked-files.ts'

/** Relative links of Markdown files that lead nowhere: to a missing file, or a heading that is not there. */
export function links(files: readonly TextFile[]): string[] {
  const pages = new Map(files.filter(({ path }) => path.endsWith('.md')).map(({ path, text }) => [path, anchors(text)]))
  return files
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) =>
      targets(text)
        .filter((target) => !isAlive(path, target, pages))
        .map((target) => `${path}: ${target}`),
    )
}

function isAlive(from: string, target: string, pages: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const [file = '', anchor] = target.split('#')
  const path = file === '' ? from : normalize(join(dirname(from), file))
  if (!existsSync(join(root, path))) return false
  return anchor === undefined || (pages.get(path)?.has(anchor) ?? false)
}

/** Relative targets outside of code. */
function targets(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((target) => !/^[a-z]+:/.test(target))
}

/** The anchors that a page's headings get. */
function anchors(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#+ (.+)$/gm)].map((match) => match[1]!)
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
}
