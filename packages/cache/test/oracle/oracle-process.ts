import { spawn } from 'node:child_process'
import type { CacheOptions } from '@keelson/cache'
import type { OracleNode, OracleSource } from '@keelson/cache/conformance'
import type { OraclePlace } from './oracle-place.ts'
import { startWorker } from '../../../../tools/crash/worker-process.ts'

/** To the worker: a call, or what it asked us for. */
export type Asked =
  | { readonly id: number; readonly call: 'read' | 'write'; readonly key: string }
  | { readonly id: number; readonly version: number }
/** From the worker: an answer to a call, or a call of its own. */
export type Said =
  | { readonly id: number; readonly version: number }
  | { readonly id: number; readonly threw: string }
  | { readonly id: number; readonly call: 'load' | 'advance'; readonly key: string }

/** How a worker is made. */
export interface OracleProcessOptions {
  readonly place: OraclePlace
  readonly options?: Partial<CacheOptions>
  readonly env?: Record<string, string>
}

/** A node in a process of its own. */
export interface OracleProcess extends OracleNode, AsyncDisposable {
  /** SIGSTOP: it stands still and keeps what it has. */
  freeze(): void
  thaw(): void
}

export async function startOracleProcess(
  source: OracleSource,
  { place, options = {}, env = {} }: OracleProcessOptions,
): Promise<OracleProcess> {
  const worker = await startWorker<Asked, Said>(new URL('./oracle-worker.ts', import.meta.url), {
    PLACE: JSON.stringify(place),
    OPTIONS: JSON.stringify(options),
    ...env,
  })
  const calls = new Map<number, PromiseWithResolvers<number>>()
  let ids = 0
  let guard: (() => void) | undefined
  let gone: Error | undefined

  worker.onMessage((said) => {
    if ('call' in said) {
      // The process may be gone when it is there.
      void source[said.call](said.key).then((version) => worker.send({ id: said.id, version }))
      return
    }
    const call = calls.get(said.id)
    calls.delete(said.id)
    if ('threw' in said) call?.reject(new Error(said.threw))
    else call?.resolve(said.version)
  })
  void worker.ended.then((how) => {
    gone = new Error(`the process ended first: ${how}`)
    for (const { reject } of calls.values()) reject(gone)
  })

  async function call(what: 'read' | 'write', key: string): Promise<number> {
    if (gone !== undefined) throw gone
    const id = ++ids
    const answered = Promise.withResolvers<number>()
    calls.set(id, answered)
    worker.send({ id, call: what, key })
    return answered.promise
  }

  return {
    read: (key) => call('read', key),
    write: (key) => call('write', key),
    freeze() {
      guard = guardFrozen(worker.pid)
      process.kill(worker.pid, 'SIGSTOP')
    },
    thaw() {
      process.kill(worker.pid, 'SIGCONT')
      guard?.()
    },
    async [Symbol.asyncDispose]() {
      guard?.()
      await worker.kill()
    },
  }
}

/** A process that stands still does not hear that we have died: a shell does, and ends it. The answer ends the guard. */
function guardFrozen(pid: number): () => void {
  const script = 'read -r _ || kill -KILL "$1"'
  const shell = spawn('sh', ['-c', script, 'sh', String(pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  shell.on('error', () => {})
  shell.stdin.on('error', () => {})
  shell.unref()
  return () => void shell.stdin.end('\n')
}
