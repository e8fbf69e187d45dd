/** A server as one thing to start, freeze and kill, although it is a process with children. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OrphanGuard } from './orphan-guard.ts'
import { alive, childrenOf } from './process-table.ts'
import type { ServerUser } from './server-user.ts'

const START_TIMEOUT_MS = 30_000
const END_TIMEOUT_MS = 10_000
const POLL_MS = 10
const LOG_TAIL_LINES = 20

/** What `startProcess` needs. */
export interface ServerProcessOptions {
  /** For messages: 'postgres'. */
  name: string
  command: string
  args: readonly string[]
  user: ServerUser
  /** Its working folder; the log is written there. */
  folder: string
  guard: OrphanGuard
  /** One bounded try to use the server: rejects while it does not answer. */
  answers: () => Promise<unknown>
}

/** A server and all its children. */
export interface ServerProcess {
  readonly pid: number
  /** SIGSTOP to the server and its children: connections stay open and nobody answers. */
  freeze(): void
  /** SIGCONT to all that `freeze` stopped. */
  thaw(): void
  /** SIGKILL to the server and its children, sent before this returns; resolves when they are gone. Repeatable. */
  kill(): Promise<void>
  /** Sends `signal`, SIGKILL after 10 s, and resolves when no process is left. Repeatable. */
  end(signal: NodeJS.Signals): Promise<void>
}

/** Starts a server and waits until it answers. Throws after 30 s, or when it ends before, with the tail of its log. */
export async function startProcess(o: ServerProcessOptions): Promise<ServerProcess> {
  const logFile = join(o.folder, `${o.name}.log`)
  const log = openSync(logFile, 'a')
  // Detached: Ctrl-C is for the test runner, which then stops its servers in order.
  const child = spawn(o.command, o.args, { ...o.user, cwd: o.folder, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  let ended = false
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  }).then(() => void (ended = true))

  const pid = child.pid
  if (pid === undefined) throw new Error(`${o.name}: cannot run ${o.command}`)
  o.guard.watch([pid])

  let stopped: number[] = []
  const killed: number[] = []
  const freeze = (): void => {
    if (ended) return
    stopped = stopTree(pid)
    o.guard.watch(stopped)
  }
  const thaw = (): void => {
    for (const each of stopped.toReversed()) send(each, 'SIGCONT')
    stopped = []
    if (!ended) o.guard.watch([pid])
  }
  const kill = async (): Promise<void> => {
    freeze() // so that nobody is born between the look and the kill
    for (const each of stopped) send(each, 'SIGKILL')
    killed.push(...stopped)
    stopped = []
    o.guard.watch([])
    await exited
    await gone(o.name, killed)
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!ended && killed.length === 0) {
      thaw()
      child.kill(signal)
      await Promise.race([exited, sleep(END_TIMEOUT_MS, undefined, { ref: false })])
    }
    await kill() // what is left, if anything
  }

  const startEndsMs = performance.now() + START_TIMEOUT_MS
  for (;;) {
    const failure = await o.answers().then(
      () => undefined,
      (error: unknown) => error ?? new Error('no answer'),
    )
    if (failure === undefined && !ended) return { pid, freeze, thaw, kill, end }
    if (ended || performance.now() > startEndsMs) {
      const what = ended ? 'ended at its start' : `did not answer within ${START_TIMEOUT_MS} ms`
      await kill()
      throw new Error(`${o.name} ${what}; its log ends with:\n${logTail(logFile)}`, { cause: failure })
    }
    await Promise.race([exited, sleep(POLL_MS)])
  }
}

/** Stops the parent first: from then on it has no new children, and two equal looks are the truth. */
function stopTree(parent: number): number[] {
  send(parent, 'SIGSTOP')
  const stopped = [parent]
  for (;;) {
    const fresh = childrenOf(parent).filter((child) => !stopped.includes(child))
    if (fresh.length === 0) return stopped
    for (const child of fresh) send(child, 'SIGSTOP')
    stopped.push(...fresh)
  }
}

/** Signals a process that may just have ended. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Killed children belong to init, which tells us nothing: so look. */
async function gone(name: string, pids: readonly number[]): Promise<void> {
  const endsMs = performance.now() + END_TIMEOUT_MS
  while (alive(pids).length > 0) {
    if (performance.now() > endsMs) throw new Error(`${name}: processes ${alive(pids).join(', ')} survive SIGKILL`)
    await sleep(POLL_MS)
  }
}

function logTail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
}
