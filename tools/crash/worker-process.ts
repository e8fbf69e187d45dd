import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A worker that can be killed at any line: a real process, spoken to over IPC. */
export interface WorkerProcess<In, Out> {
  readonly pid: number
  /** Sends one job. */
  send(job: In): void
  /** Every message of the worker but its ready. */
  onMessage(listener: (message: Out) => void): void
  /** SIGKILL: nothing runs any more in it. Resolves when the process is gone. */
  kill(): Promise<void>
  /** Resolves with the signal or exit code that ended it, behind its last message. */
  readonly ended: Promise<string>
}

/** Starts a worker file from source and waits for its `{ ready: true }`. Its stderr is shown when it ends on its own. */
export async function startWorker<In, Out>(
  file: URL,
  env: Record<string, string> = {},
): Promise<WorkerProcess<In, Out>> {
  const child = fork(fileURLToPath(file), {
    execArgv: ['--conditions=@keelson/source', '--no-warnings'],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  const ended = endOf(child)
  await ready(child, ended)
  return {
    pid: child.pid!,
    ended,
    send: (job) => {
      if (child.connected) child.send(job as object)
    },
    onMessage: (listener) => child.on('message', (message) => listener(message as Out)),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** What a process has said before it died may be read after its death was seen. */
async function endOf(child: ChildProcess): Promise<string> {
  const disconnected = once(child, 'disconnect')
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  await disconnected
  return signal ?? `exit ${code}`
}

async function ready(child: ChildProcess, ended: Promise<string>): Promise<void> {
  const first = new Promise<string>((resolve) => child.once('message', () => resolve('ready')))
  const how = await Promise.race([first, ended])
  if (how !== 'ready') throw new Error(`worker ended before it was ready: ${how}`)
}
