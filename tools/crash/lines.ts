import type { CrashReport } from './crash.ts'

const MOST_FINDINGS = 20

/** A report as lines of text, one for each kind of number, then the findings. */
export function linesOf({ seed, kills, boundaries, runs, retries, broken }: CrashReport): string[] {
  const more = broken.length - MOST_FINDINGS
  return [
    `seed       ${seed}`,
    `kills      ${kills}`,
    `boundaries ${boundaries.met} of ${boundaries.all}${boundaries.met < boundaries.all ? '; more runs meet the others' : ''}`,
    `runs       ${runs}`,
    `retries    ${retries}`,
    `broken     ${broken.length}`,
    ...broken.slice(0, MOST_FINDINGS).map((finding) => `  ${finding}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ]
}
