import type { Headers } from './exchange.ts'

const LISTS = new Set(['set-cookie', 'vary', 'link', 'www-authenticate'])
/** Their elements are separated by commas; in the others a comma may be part of a value. */
const BY_COMMA = new Set(['vary', 'link'])

/** True for a field to which middleware and answer both contribute: the answer adds lines, it does not replace any. */
export function isListHeader(name: string): boolean {
  return LISTS.has(name.toLowerCase())
}

/**
 * Headers by name, under the first spelling, as `setHeader` takes them. `before` answers what middleware has already set
 * under a name; of a list its lines stay in front, unless the answer has all of their elements anyway. For adapters.
 */
export function groupHeaders(
  headers: Headers,
  before: (name: string) => number | string | readonly string[] | undefined = () => undefined,
): (readonly [name: string, value: string | string[]])[] {
  const groups = new Map<string, { name: string; lines: string[] }>()
  for (const [name, value] of headers) {
    const group = groups.get(name.toLowerCase())
    if (group === undefined) groups.set(name.toLowerCase(), { name, lines: [value] })
    else group.lines.push(value)
  }
  return [...groups].map(([key, { name, lines }]) => {
    const kept = isListHeader(key) ? linesOf(before(name)).filter((line) => !isPartOf(line, lines, key)) : []
    const all = [...kept, ...lines]
    return [name, all.length === 1 ? all[0]! : all]
  })
}

function linesOf(value: number | string | readonly string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat().map(String)
}

/** A replay has every element that was sent, also those of middleware that has set them again now. */
function isPartOf(line: string, lines: readonly string[], name: string): boolean {
  const elementsOf = (text: string): string[] =>
    BY_COMMA.has(name) ? text.split(',').map((element) => element.trim().toLowerCase()) : [text]
  const there = new Set(lines.flatMap(elementsOf))
  return elementsOf(line).every((element) => there.has(element))
}
