import type { Verdict } from '../audit.ts'
import type { Found } from './found.ts'

const COMPLETENESS = {
  ok: 'ok',
  broken: 'broken',
  unwitnessed: 'unwitnessed: only a checkpoint that was kept elsewhere (--against) tells whether the end was cut off',
} as const satisfies Record<Verdict['completeness'], string>

/** For a person. */
export function verdictText(found: Found): string {
  const { ok, origin, size, root, integrity, completeness, coverage, problems } = found
  const lines = [
    ['log', origin],
    ['size', size],
    ['signed', signedText(found)],
    ['root', root],
    ['integrity', integrity],
    ['completeness', completeness && COMPLETENESS[completeness]],
    ['coverage', coverage && `${coverage.gaps} gaps with ${coverage.lost} entries lost, ${coverage.pruned} pruned`],
  ] as const
  const told = lines.flatMap(([title, value]) => (value === undefined ? [] : [`${title.padEnd(12)}  ${value}`]))
  return [...told, ...problems.map(problemText), ok ? 'The log is in order.' : 'The log is BROKEN.', ''].join('\n')
}

function signedText({ size = 0, signed }: Found): string | undefined {
  if (signed === undefined) return undefined
  return signed >= size ? 'all' : `${signed}; for the last ${size - signed} nobody vouches yet`
}

function problemText({ code, index, id, detail }: Found['problems'][number]): string {
  const where = index === undefined ? '' : ` at ${index}${id === undefined ? '' : ` (${id})`}`
  return `${code}${where}: ${detail}`
}
