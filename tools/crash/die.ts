import type { Job } from './scenario-main.ts'
import type { ScenarioProcess } from './scenario-process.ts'

/** A worker's end, and what its clients had been told by then. */
export interface Died {
  /** 'SIGKILL', or what happened instead. */
  readonly how: string
  readonly told: Map<string, string>
}

/** Lets a process work until it dies. */
export async function die(worker: ScenarioProcess, job: Job): Promise<Died> {
  const { death } = job
  const told = new Map<string, string>()
  worker.onTold((answer) => {
    // At a random moment: it is in full work from its first answer on.
    if (told.size === 0 && 'afterMs' in death) setTimeout(() => void worker.kill(), death.afterMs)
    told.set(answer.key, answer.told)
  })
  const how = await worker.ask('work', job).then(
    () => 'it lives: no write has reached its boundary',
    (error: Error) => error.message,
  )
  await worker.kill()
  return { how, told }
}
