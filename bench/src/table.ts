/** What is printed of a case. */
import type { Case } from './case.ts'
import type { Rounds } from './rounds.ts'
import { median, summaryOf } from './statistics.ts'
import { figuresOf, ratios, textOf, type Verdict } from './verdict.ts'

/** A case's contenders, a line each with medians, then its targets, a line each. */
export function tableOf(one: Case, rounds: Rounds, verdicts: readonly Verdict[]): string {
  const head = [one.name, ...(one.note === undefined ? [] : [`  ${one.note}`])]
  return [...head, ...figureLines(one, rounds), ...verdictLines(verdicts), ''].join('\n')
}

function figureLines({ contenders, base }: Case, rounds: Rounds): string[] {
  const names = contenders.map(({ name }) => name)
  const figures = [...new Set([...rounds.values()].flatMap((all) => Object.keys(all[0] ?? {})))]
  const first = figures[0]!
  const header = ['', ...figures, ...(base === undefined ? [] : ['ratio', 'min..max'])]
  const rows = names.map((name) => {
    const values = figures.map((figure) =>
      rounds.get(name)![0]![figure] === undefined ? '' : shown(median(figuresOf(rounds, name, figure))),
    )
    if (base === undefined) return [name, ...values]
    const ratio = summaryOf(ratios(figuresOf(rounds, name, first), figuresOf(rounds, base, first)))
    const spread = name === base ? ['1', ''] : [`${shown(ratio.median)}x`, `${shown(ratio.min)}..${shown(ratio.max)}`]
    return [name, ...values, ...spread]
  })
  return aligned([header, ...rows])
}

function verdictLines(verdicts: readonly Verdict[]): string[] {
  return verdicts.map((verdict) => {
    const suffix = verdict.target.over === undefined ? '' : 'x'
    const spread = verdict.min === verdict.max ? '' : ` (${shown(verdict.min)}..${shown(verdict.max)})`
    const mark = verdict.kind === 'missed' ? 'MISSED' : verdict.aimMet ? 'met' : 'met, not the aim'
    return `  target: ${textOf(verdict.target)}: ${shown(verdict.median)}${suffix}${spread} ${mark}`
  })
}

/** First column to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => {
    const cells = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
    return `  ${cells.join('  ')}`.trimEnd()
  })
}

/** Three digits that count; thousands with a thin gap. */
function shown(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) {
    return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
  }
  return value.toPrecision(value >= 1 ? 3 : 2)
}
