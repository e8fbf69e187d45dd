import { posix } from 'node:path'
import { anchorsOf, withoutCode } from './markdown.ts'
import type { TextFile } from './tracked-files.ts'

/** `[text](target "title")` and `[label]: target`. */
const LINK = /\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)|^ *\[[^\]]+\]:\s+<?([^\s>]+)/gm

/** Relative links of Markdown files that lead nowhere: to a missing or untracked file, or a heading that is not there. */
export function links(files: readonly TextFile[]): string[] {
  const pages = new Map(files.filter(({ path }) => path.endsWith('.md')).map(({ path, text }) => [path, text]))
  const known = new Set(files.flatMap(({ path }) => withFolders(path)))
  return [...pages].flatMap(([page, markdown]) => {
    const prose = withoutCode(markdown)
    return [...prose.matchAll(LINK)].flatMap((match) => {
      const target = match[1] ?? match[2]!
      if (/^[a-z][a-z\d+.-]*:/i.test(target)) return []
      const [file = '', anchor] = target.split('#')
      const path = file === '' ? page : posix.join(posix.dirname(page), decodeURI(file)).replace(/\/$/, '')
      const markdownThere = pages.get(path)
      const headingThere =
        anchor === undefined || (markdownThere !== undefined && anchorsOf(markdownThere).has(decodeURI(anchor)))
      return known.has(path) && headingThere ? [] : [`${page}: ${target}`]
    })
  })
}

function withFolders(path: string): string[] {
  return path === '.' ? ['.'] : [path, ...withFolders(posix.dirname(path))]
}
