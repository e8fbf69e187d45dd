/** What `--json` writes. */
import type { Case } from './case.ts'
import type { Machine } from './machine.ts'
import type { Plan, Rounds } from './rounds.ts'
import { median } from './statistics.ts'
import { figuresOf, ratios, textOf, type Verdict } from './verdict.ts'

/** A case that has run. */
export interface Ran {
  readonly area: string
  readonly case: Case
  readonly rounds: Rounds
  readonly verdicts: readonly Verdict[]
}

/** Medians a row each, the targets, and all rounds as they were measured. */
export function reportOf(
  ran: readonly Ran[],
  more: { machine: Machine; servers: readonly string[]; plan: Plan },
): object {
  return {
    at: new Date().toISOString(),
    ...more,
    rows: ran.flatMap(rowsOf),
    targets: ran.flatMap(({ area, case: { name }, verdicts }) =>
      verdicts.map(({ target, ...verdict }) => ({ area, case: name, target: textOf(target), ...verdict })),
    ),
    rounds: ran.map(({ area, case: { name }, rounds }) => ({ area, case: name, rounds: Object.fromEntries(rounds) })),
  }
}

function rowsOf({ area, case: { name, base }, rounds }: Ran): object[] {
  return [...rounds].flatMap(([subject, all]) =>
    Object.keys(all[0] ?? {}).map((figure) => {
      const values = figuresOf(rounds, subject, figure)
      const hasBase = base !== undefined && rounds.get(base)?.[0]?.[figure] !== undefined
      return {
        area,
        case: name,
        subject,
        figure,
        value: median(values),
        unit: figure.split(' ').at(-1),
        ...(hasBase ? { ratioToBase: median(ratios(values, figuresOf(rounds, base, figure))) } : {}),
      }
    }),
  )
}
