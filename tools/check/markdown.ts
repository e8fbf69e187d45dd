const FENCE = /^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^\1\2[^\n]*$/gm
const blank = (code: string): string => code.replace(/[^\n]/g, ' ')

/** Markdown without its code, lines kept: no link in there counts. */
export function withoutCode(markdown: string): string {
  return markdown.replace(FENCE, blank).replace(/(`+)[^`\n]*\1/g, blank)
}

/** The headings in order, as written. */
export function headingsOf(markdown: string): { level: number; text: string }[] {
  const headings = markdown.replace(FENCE, blank).matchAll(/^(#{1,6}) +(.+?) *$/gm)
  return [...headings].map(([, marks = '', text = '']) => ({ level: marks.length, text }))
}

/** The anchors that GitHub gives to the headings: the second of the same name ends in `-1`. */
export function anchorsOf(markdown: string): Set<string> {
  const counts = new Map<string, number>()
  const anchors = headingsOf(markdown).map(({ text }) => {
    const shown = text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const anchor = shown
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-')
    const count = counts.get(anchor) ?? 0
    counts.set(anchor, count + 1)
    return count === 0 ? anchor : `${anchor}-${count}`
  })
  return new Set(anchors)
}
