import type { Case, Figures, Running } from './case.ts'

/** How long and how often. */
export interface Plan {
  readonly rounds: number
  /** Of the times that the cases name: 1, or less for a look. */
  readonly share: number
}

/** The figures of each round, by contender. */
export type Rounds = ReadonlyMap<string, readonly Figures[]>

/**
 * Interleaved rounds: A B C, B C A, C A B. What disturbs the machine for seconds then disturbs all of a round alike, and
 * ratios are taken inside a round.
 */
export async function runRounds(one: Case, plan: Plan): Promise<Rounds> {
  const { contenders, exact = false, runMs = 1000, warmUpMs = runMs / 2 } = one
  const rounds = exact ? 1 : plan.rounds
  const measured = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]))
  await using opened = new AsyncDisposableStack()
  const running: { name: string; contender: Running }[] = []
  for (const { name, open } of contenders) {
    const contender = await open()
    opened.defer(async () => contender.close?.())
    running.push({ name, contender })
  }
  if (!exact) for (const { contender } of running) await contender.run(warmUpMs * plan.share)
  for (let round = 0; round < rounds; round++) {
    for (const { name, contender } of rotated(running, round)) {
      measured.get(name)!.push(await contender.run(runMs * plan.share))
    }
  }
  return measured
}

function rotated<T>(all: readonly T[], by: number): T[] {
  const from = by % all.length
  return [...all.slice(from), ...all.slice(0, from)]
}
