import { chance } from './chance.ts'
import type { Write } from './plan.ts'
import type { ScenarioProcess } from './scenario-process.ts'

/** What clients and rows say of one death. */
export interface Verdict {
  readonly retries: number
  /** What was found first of each write that is broken. */
  readonly broken: readonly string[]
}

const RETRIED = 0.5
const RETRIED_THOUGH_TOLD = 0.1
const RETRIED_AGAIN = 0.2

/** Looks at these writes as they were left; then some of their clients come back, and they are looked at again. */
export async function judge(
  witness: ScenarioProcess,
  seed: number,
  writes: readonly Write[],
  told: Map<string, string>,
): Promise<Verdict> {
  const broken = new Map<string, string>()
  const find = (key: string, wrong: string): void => void (broken.has(key) || broken.set(key, wrong))
  const look = async (list: readonly Write[]): Promise<void> => {
    const asked = list.map((write) => ({ ...write, told: told.get(write.key) }))
    for (const { key, wrong } of await witness.ask('judge', asked)) find(key, wrong)
  }

  await look(writes)
  const once = writes.filter(
    ({ key }) => chance(seed, 'retried', key) < (told.has(key) ? RETRIED_THOUGH_TOLD : RETRIED),
  )
  const twice = once.filter(({ key }) => chance(seed, 'retried again', key) < RETRIED_AGAIN)
  for (const retried of [once, twice]) {
    for (const answer of await witness.ask('retry', retried)) {
      const { key } = answer
      const before = told.get(key)
      if ('threw' in answer) find(key, `its retry threw ${answer.threw}`)
      else if (before === undefined) told.set(key, answer.told)
      else if (before !== answer.told) find(key, `told ${before}, then ${answer.told}`)
    }
  }
  await look(once)
  const kinds = new Map(writes.map(({ key, kind }) => [key, kind]))
  return {
    retries: once.length + twice.length,
    broken: [...broken].map(([key, wrong]) => `${kinds.get(key)} ${key}: ${wrong}`),
  }
}
