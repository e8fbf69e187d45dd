import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Takes a folder for one process: PGlite does not lock its files, and two processes on them destroy them.
 * Throws, naming the other pid. A dead owner's lock is taken. Answers how to give it back.
 */
export function takeDataFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  const lock = join(folder, 'keelson.lock')
  const mine = describe(process.pid)
  for (;;) {
    try {
      writeFileSync(lock, mine, { flag: 'wx' })
      return () => rmSync(lock, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = readFileSync(lock, 'utf8')
    const pid = Number.parseInt(owner, 10)
    if (owner === describe(pid)) throw new Error(`${folder} is in use by process ${pid}`)
    rmSync(lock, { force: true })
  }
}

/** A pid and when its process began, where the system tells: pids are given out again. */
function describe(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The 22nd field, counted behind the name, which may hold spaces.
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch {
    return isAlive(pid) ? `${pid}` : 'gone'
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
