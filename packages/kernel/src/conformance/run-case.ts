import type { Case, Subject } from './suite.ts'
import { createTools } from './tools.ts'

/** The subject itself could not be opened, so nothing was learnt of it. */
export class NotMade extends Error {
  override readonly name = 'NotMade'
}

/** Runs one case on a subject of its own. Rejects with what the case found; the message ends with the seed. */
export async function runCase<T>(each: Case<T>, subject: Subject<T>, seed: number): Promise<void> {
  const made = await subject.make().catch((cause: unknown) => {
    throw new NotMade(`the subject could not be made: ${String(cause)}`, { cause })
  })
  try {
    await each.run(made, createTools(seed, subject.has ?? []))
  } catch (error) {
    if (error instanceof Error) error.message += ` (seed ${seed})`
    throw error
  } finally {
    await made.dispose()
  }
}

/** A seed that nobody chose. */
export function anySeed(): number {
  return Math.floor(Math.random() * 2 ** 31)
}
