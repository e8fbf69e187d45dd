import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** A parcels node as a process of its own. */
export interface NodeProcess {
  readonly child: ChildProcess
  /** What it says when it listens. */
  readonly ready: { readonly url: string; readonly [name: string]: unknown }
  /** Sends the signal and answers exit code and signal. */
  end(signal: NodeJS.Signals): Promise<[number | null, NodeJS.Signals | null]>
}

/** Starts `main.ts` on a free port, without this process's DATABASE_URL. */
export function spawnNode(env: Record<string, string>): ChildProcess {
  const { DATABASE_URL: _, ...clean } = process.env
  const child = spawn(process.execPath, ['--conditions=@keelson/source', main], {
    env: { ...clean, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // A test that is given up ends nothing by itself.
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}

export async function startNodeProcess(env: Record<string, string>): Promise<NodeProcess> {
  const child = spawnNode(env)
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const line = once(createInterface({ input: child.stdout! }), 'line') as Promise<[string]>
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`the node ended: ${stderr}`)))
  const [text] = await Promise.race([line, ended])
  ended.catch(() => {})
  return {
    child,
    ready: JSON.parse(text) as NodeProcess['ready'],
    async end(signal) {
      const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
      child.kill(signal)
      return exit
    },
  }
}
