import { inspect } from 'node:util'
import type { Case, Subject, Suite } from './suite.ts'
import { createTools } from './tools.ts'

/** The subject itself could not be opened, so nothing was learnt of it. */
export class NotMade extends Error {
  override readonly name = 'NotMade'
}

/** Runs one case on a subject of its own. Rejects with what the case found; the message ends with the seed. */
export async function runCase<T>(
  { of }: Pick<Suite<T>, 'of'>,
  each: Case<T>,
  subject: Subject<T>,
  seed: number,
): Promise<void> {
  const made = await make(subject, of)
  let found: { error: unknown } | undefined
  try {
    await each.run(made, createTools(seed, subject.has ?? []))
  } catch (error) {
    if (error instanceof Error) error.message += ` (seed ${seed})`
    found = { error }
  }
  try {
    await made.dispose()
  } catch (error) {
    found ??= { error }
  }
  if (found !== undefined) throw found.error
}

async function make<T>(subject: Subject<T>, of: string): Promise<T & { dispose(): Promise<void> }> {
  let made: (T & { dispose(): Promise<void> }) | undefined
  try {
    made = await subject.make()
  } catch (cause) {
    throw new NotMade(`the subject could not be made: ${String(cause)}`, { cause })
  }
  const parts = made as { dispose?: unknown; [part: string]: unknown } | undefined
  if (parts?.[of] !== undefined && typeof parts.dispose === 'function') return made
  throw new NotMade(`make() must answer { ${of}, dispose() } (got ${inspect(made, { depth: 0 })})`)
}

/** A seed that nobody chose. */
export function anySeed(): number {
  return Math.floor(Math.random() * 2 ** 31)
}
