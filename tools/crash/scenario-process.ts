import type { Asks, Said, Told } from './scenario-main.ts'
import { startWorker } from './worker-process.ts'

/** A process that has loaded a scenario. */
export interface ScenarioProcess {
  /** Of its connections. */
  readonly name: string
  /** Rejects with what was thrown there, with how the process ended, or when there is no answer in time. */
  ask<K extends keyof Asks>(what: K, ...args: Parameters<Asks[K]>): ReturnType<Asks[K]>
  /** Called with each answer that a client of its work gets. */
  onTold(listener: (told: Told) => void): void
  kill(): Promise<void>
}

/** Starts a process that loads this scenario and waits to be asked. It has `answerMs` for each answer. */
export async function startScenario(file: URL, name: string, answerMs: number): Promise<ScenarioProcess> {
  const worker = await startWorker<object, Said>(new URL('./scenario-main.ts', import.meta.url), {
    CRASH_SCENARIO: file.href,
  })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let asked = 0
  let end: string | undefined
  let hear: (told: Told) => void = () => {}
  worker.onMessage((said) => {
    if ('told' in said) hear(said.told)
    else if ('threw' in said) waiting.get(said.id)?.reject(new Error(said.threw))
    else waiting.get(said.id)?.resolve(said.answer)
  })
  void worker.ended.then((how) => {
    end = how
    for (const { reject } of waiting.values()) reject(new Error(how))
  })
  return {
    name,
    kill: worker.kill,
    onTold: (listener) => (hear = listener),
    ask(what, ...args) {
      const answer = Promise.withResolvers<unknown>()
      const hung = setTimeout(() => answer.reject(new Error(`'${what}' did not end within ${answerMs} ms`)), answerMs)
      if (end === undefined) {
        const id = ++asked
        waiting.set(id, answer)
        worker.send({ id, ask: what, args })
      } else answer.reject(new Error(end))
      return answer.promise.finally(() => clearTimeout(hung)) as never
    },
  }
}
