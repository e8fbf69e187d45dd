/*
 * Paths of a static tree (C2SP tlog-tiles): 'tile/0/x001/234', 'tile/1/000.p/5' with its width, 'tile/entries/001'.
 */

/** A tile of hashes, or the bundle of the entries below one of level 0. */
export interface TilePath {
  readonly level: number | 'entries'
  readonly index: number
  /** 256 when it is full. */
  readonly width: number
}

const FULL = 256
const PATH = /^tile\/(entries|\d|[1-5]\d|6[0-3])\/((?:x\d{3}\/){0,5})(\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** A path without a leading slash. */
export function tilePath({ level, index, width }: TilePath): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!
  const end = groups.pop()!
  const folders = groups.map((group) => `x${group}/`).join('')
  return `tile/${level}/${folders}${end}${width === FULL ? '' : `.p/${width}`}`
}

/** What a path names; undefined when it is none, or another one names the same. */
export function parseTilePath(path: string): TilePath | undefined {
  const [, level, folders, end, width = FULL] = PATH.exec(path) ?? []
  if (level === undefined) return undefined
  const parsed = {
    level: level === 'entries' ? level : Number(level),
    index: Number(`${folders!.replaceAll(/[x/]/g, '')}${end}`),
    width: Number(width),
  } as const
  if (!Number.isSafeInteger(parsed.index) || parsed.width > FULL) return undefined
  // One name for one thing: no leading groups of zeros, no full one as a partial.
  return tilePath(parsed) === path ? parsed : undefined
}
