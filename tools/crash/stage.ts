import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startScenario, type ScenarioProcess } from './scenario-process.ts'
import { namedUrls, type ServerUrls } from './sessions.ts'

/** The processes of one report, and the space and folder that only they use. */
export interface Stage extends AsyncDisposable {
  /** Starts a process: loaded, not yet open. */
  start(): Promise<ScenarioProcess>
  /** Lets a process open the store. */
  open(process: ScenarioProcess): Promise<ScenarioProcess>
}

/** Its end kills every process that lives, and removes the folder. */
export async function buildStage(file: URL, servers: ServerUrls, answerMs: number): Promise<Stage> {
  const ends = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'keelson-crash-'))
  ends.defer(() => rm(folder, { recursive: true, force: true }))
  const space = `crash_${randomBytes(6).toString('hex')}`
  let started = 0
  return {
    start() {
      const starting = startScenario(file, `${space}_${++started}`, answerMs)
      ends.defer(() =>
        starting.then(
          (process) => process.kill(),
          () => {},
        ),
      )
      return starting
    },
    async open(process) {
      const { name } = process
      await process.ask('open', { ...namedUrls(servers, name), name, space, folder })
      return process
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  }
}
