/** Who is whose child. Slim images have no `ps`, so Linux reads /proc (proc_pid_stat(5)). */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

interface Row {
  pid: number
  parent: number
  /** One letter: T is stopped, Z has ended and waits for its parent. */
  state: string
}

/** The direct children of a process, ended ones left out. */
export function childrenOf(parent: number): number[] {
  return readTable()
    .filter((row) => row.parent === parent && row.state !== 'Z')
    .map((row) => row.pid)
}

/** Those of `pids` that still run (or are stopped). */
export function alive(pids: readonly number[]): number[] {
  return readTable()
    .filter((row) => pids.includes(row.pid) && row.state !== 'Z')
    .map((row) => row.pid)
}

function readTable(): Row[] {
  return process.platform === 'linux' ? readProc() : readPs()
}

function readProc(): Row[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = readStat(name)
      // The command's name stands in brackets and may hold anything, brackets too.
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state && parent ? [{ pid: Number(name), parent: Number(parent), state }] : []
    })
}

/** Empty when the process has ended since the folder was listed. */
function readStat(name: string): string {
  try {
    return readFileSync(`/proc/${name}/stat`, 'latin1')
  } catch {
    return ''
  }
}

function readPs(): Row[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid, parent, state = ''] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), state: state.slice(0, 1) }
  })
}
