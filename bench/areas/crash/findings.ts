import type { JudgedWrite } from '../../../tools/crash/scenario.ts'

/** What can be wrong with a booking of the glued stack. */
export const FINDINGS = ['duplicate row', 'missing audit', 'lost webhook', 'stale list', 'no answer'] as const

/** All that is wrong with it. A booking that is not there has nothing, and its client was told nothing. */
export function findings({ counts, told }: JudgedWrite): string | undefined {
  const { rows = 0, entries = 0, events = 0, listed = 0 } = counts
  const found: string[] = []
  if (rows > 1) found.push('duplicate row')
  if (entries < rows) found.push('missing audit')
  if (events < rows) found.push('lost webhook')
  if (listed !== rows) found.push('stale list')
  if (told !== undefined && rows === 0) found.push('told, but not there')
  return found.length === 0 ? undefined : found.join(', ')
}
