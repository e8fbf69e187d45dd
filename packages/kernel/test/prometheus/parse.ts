/** A reader of Prometheus' text format 0.0.4, as strict as the format: it refuses what a server refuses. */
export interface Read {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: { readonly name: string; readonly labels: Record<string, string>; readonly value: number }[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/gy

export function parse(page: string): Read[] {
  if (page === '') return []
  if (!page.endsWith('\n')) throw new Error('the last line has no end')
  const families: Read[] = []
  const series = new Set<string>()
  for (const line of page.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/s.exec(line)
    const family = families.at(-1)
    if (comment?.[1] === 'HELP') {
      const [, , name = '', help = ''] = comment
      if (!NAME.test(name) || families.some((each) => each.name === name)) throw new Error(`bad HELP: ${line}`)
      families.push({ name, help: unescape(help), type: '', samples: [] })
    } else if (comment?.[1] === 'TYPE') {
      const [, , name, type = ''] = comment
      if (family?.name !== name || family!.type !== '' || !['counter', 'gauge', 'histogram'].includes(type)) {
        throw new Error(`bad TYPE: ${line}`)
      }
      families[families.length - 1] = { ...family!, type }
    } else {
      const sample = sampleOf(line)
      const base = family?.type === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name
      if (family?.name !== base) throw new Error(`a sample outside of its family: ${line}`)
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()])
      if (series.has(key)) throw new Error(`twice: ${line}`)
      series.add(key)
      family.samples.push(sample)
    }
  }
  return families
}

function sampleOf(line: string): Read['samples'][number] {
  const [, name = '', pairs, value = ''] = SAMPLE.exec(line) ?? []
  if (name === '') throw new Error(`bad sample: ${line}`)
  const found = [...(pairs ?? '').matchAll(PAIR)]
  if (found.map(([pair]) => pair).join('') !== (pairs ?? '')) throw new Error(`bad labels: ${line}`)
  const labels = found.map(([, label = '', text = '']): [string, string] => [label, unescape(text)])
  return { name, labels: Object.fromEntries(labels), value: numberOf(value) }
}

function unescape(text: string): string {
  return text.replace(/\\(.)/gs, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
}

function numberOf(text: string): number {
  const named = { '+Inf': Infinity, '-Inf': -Infinity, NaN }[text]
  if (named !== undefined) return named
  if (!/^-?\d+(\.\d+)?(e[+-]\d+)?$/.test(text)) throw new Error(`bad number: ${text}`)
  return Number(text)
}
