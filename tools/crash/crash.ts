import { randomInt } from 'node:crypto'
import { exclusiveCast, sharedCast } from './cast.ts'
import { die } from './die.ts'
import { judge, type Verdict } from './judge.ts'
import { boundariesOf, planDeaths, writeAt } from './plan.ts'
import { sessionsEnded, type ServerUrls } from './sessions.ts'
import { buildStage } from './stage.ts'

/** How much, and on which servers. */
export interface CrashOptions extends ServerUrls {
  /** Writes that are in flight when their process is killed; default 300. */
  readonly runs?: number
  /** Chooses kinds, deaths and retries; default a random integer. */
  readonly seed?: number
  /** Ms in which the scenario must do whatever it is asked; default 120,000, more than anything takes. */
  readonly answerMs?: number
}

/** What was done and what was found broken. */
export interface CrashReport {
  readonly seed: number
  readonly kills: number
  /** At how many boundaries of flights a process has died, and how many there are. */
  readonly boundaries: { readonly met: number; readonly all: number }
  readonly runs: number
  readonly retries: number
  /** One finding each. */
  readonly broken: readonly string[]
}

/** So many writes of each kind show how many flights the last one has; the first may find something cold. */
const REHEARSALS = 3

/** Retries wait for leases: meanwhile so many more processes may die. */
const UNJUDGED = 4

/**
 * Kills one process of the scenario after another in the middle of its writes; clients retry or never return; then
 * what is there is counted. Rejects when the scenario cannot be loaded, opened or rehearsed.
 */
export async function crash(file: URL, o: CrashOptions = {}): Promise<CrashReport> {
  const { runs = 300, seed = randomInt(2 ** 31), answerMs = 120_000 } = o
  await using stage = await buildStage(file, o, answerMs)
  const first = await stage.open(await stage.start())
  const about = await first.ask('about')

  const rehearsal = Object.keys(about.kinds).flatMap((kind) =>
    Array.from({ length: REHEARSALS }, (_, i) => ({ key: `0-${kind}-${i}`, kind })),
  )
  const rehearsed = await first.ask('rehearse', rehearsal)
  const boundaries = boundariesOf(Object.fromEntries(rehearsed.map(({ kind, flights }) => [kind, flights])))
  const told = new Map(rehearsed.map((write) => [write.key, write.told]))
  const verdicts: Promise<Verdict>[] = [judge(first, seed, rehearsal, told)]
  await verdicts[0]

  const kills = Math.ceil(runs / about.inFlight)
  const deaths = planDeaths({ seed, kills, inFlight: about.inFlight, boundaries })
  const cast = (about.exclusive ? exclusiveCast : sharedCast)(stage, first)
  const broken: string[] = []
  let killed = 0
  let met = 0
  let witness = first
  try {
    for (const [index, death] of deaths.entries()) {
      const job = { seed, round: index + 1, death }
      const worker = await cast.worker()
      const { how, told } = await die(worker, job)
      if (how !== 'SIGKILL') broken.push(`a process was to die by SIGKILL, but: ${how}`)
      else {
        killed++
        if ('boundary' in death) met++
      }
      // Of those behind the ones that had begun nothing may be there either.
      const begun = Array.from({ length: told.size + 2 * about.inFlight }, (_, i) => writeAt({ ...job, ...about }, i))
      const verdict = sessionsEnded(o, worker.name).then(async () => {
        witness = await cast.witness()
        return judge(witness, seed, begun, told)
      })
      verdict.catch(() => {}) // heard below
      verdicts.push(verdict)
      await verdicts.at(about.exclusive ? -1 : -UNJUDGED)
    }
    await Promise.all(verdicts)
    const wrong = await witness.ask('check')
    if (wrong !== undefined) broken.push(`at the end: ${wrong}`)
  } catch (error) {
    broken.push(`the rest could not be seen: ${String(error)}`)
  }
  const settled = await Promise.allSettled(verdicts)
  const heard = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  return {
    seed,
    kills: killed,
    boundaries: { met, all: boundaries.length },
    runs: killed * about.inFlight,
    retries: heard.reduce((sum, each) => sum + each.retries, 0),
    broken: [...broken, ...heard.flatMap((each) => each.broken)],
  }
}
