import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** A parcels node as a process of its own. */
export interface NodeProcess {
  readonly child: ChildProcess
  /** What it says when it listens. */
  readonly ready: { readonly url: string; readonly [name: string]: unknown }
  /** The exit code and the signal that ended it. */
  readonly ended: Promise<[number | null, NodeJS.Signals | null]>
  /** Sends the signal and answers `ended`. */
  end(signal: NodeJS.Signals): NodeProcess['ended']
}

type Variables = Readonly<Record<string, string | number>>

/** Starts `file`, default `main.ts`, on a free port. Which servers it has, only `env` says. */
export function spawnNode(env: Variables, file = 'main.ts', given: readonly string[] = []): ChildProcess {
  const { DATABASE_URL: _, REDIS_URL: __, ...clean } = process.env
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@keelson/source', path, ...given], {
    env: {
      ...clean,
      PORT: '0',
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)])),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Who is given up ends nothing by itself.
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}

/** As `spawnNode`; resolves when the node listens, rejects with what it complained of when it ends before. */
export async function startNodeProcess(env: Variables, file?: string): Promise<NodeProcess> {
  const child = spawnNode(env, file)
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'exit') as NodeProcess['ended']
  const line = once(createInterface({ input: child.stdout! }), 'line') as Promise<[string]>
  const early = ended.then(() => Promise.reject(new Error(`the node ended: ${stderr}`)))
  const [text] = await Promise.race([line, early])
  early.catch(() => {})
  return {
    child,
    ready: JSON.parse(text) as NodeProcess['ready'],
    ended,
    end(signal) {
      child.kill(signal)
      return ended
    },
  }
}

/** An operator's command, such as `audit:verify`: how it ended, and what it said. */
export async function runCommand(
  env: Variables,
  given: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawnNode(env, 'main.ts', given)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close') as Promise<[number | null]>,
  ])
  return { code, stdout, stderr }
}
