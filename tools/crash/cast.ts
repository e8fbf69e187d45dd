import type { ScenarioProcess } from './scenario-process.ts'
import type { Stage } from './stage.ts'

/** Who dies next, and who looks at what it has left. */
export interface Cast {
  /** A process that has opened the store, ready to work. */
  worker(): Promise<ScenarioProcess>
  /** Called when the worker is dead. */
  witness(): Promise<ScenarioProcess>
}

/** The first process witnesses all deaths. The next worker starts and opens the store while this one works. */
export function sharedCast(stage: Stage, first: ScenarioProcess): Cast {
  const ready = (): Promise<ScenarioProcess> => quiet(stage.start().then(stage.open))
  let next = ready()
  return {
    async worker() {
      const worker = await next
      next = ready()
      return worker
    },
    witness: async () => first,
  }
}

/**
 * The witness of a death is the next to die: a store with room for one process is opened once a death. Its process
 * starts while the worker works.
 */
export function exclusiveCast(stage: Stage, first: ScenarioProcess): Cast {
  let current = first
  let next = quiet(stage.start())
  return {
    worker: async () => current,
    async witness() {
      current = await stage.open(await next)
      next = quiet(stage.start())
      return current
    },
  }
}

/** It may fail before anybody asks. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
