import { readlinkSync } from 'node:fs'
import { link, mkdir, readdir, readFile, readlink, unlink, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'

/** Who has a folder. A pid is given again: it is the same process only if it began at the same time. */
interface Holder {
  readonly pid: number
  readonly began: string
  /** A worker may end before its process: the system's number of the thread and when it began, where it tells. */
  readonly thread?: { readonly id: string; readonly began: string }
}

const NAME = /^lock\.(\d+)$/
const FREE = 'free'

/**
 * Takes a folder for this process; the answer gives it back. A process that was killed has no folder any more, nor has
 * a worker that ended, as far as its own process asks.
 *
 * The lock is the file `lock.<n>` with the highest n, and is never removed, only followed by the next: whoever finds its
 * holder dead links n + 1, which succeeds for one, and looks again whether somebody was faster. So nobody can remove a
 * lock that was taken after he looked.
 * @throws what `refusal` makes of who has it
 */
export async function lockFolder(
  dir: string,
  refusal: (holder: { readonly pid: number }) => Error,
): Promise<() => Promise<void>> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const self: Holder = { pid: process.pid, began: (await beganOf(process.pid)) ?? '', ...(await threadHere()) }
  const own = `${dir}/lock.new.${randomUUID()}`
  try {
    // Also what a full disk has of it is removed.
    await writeFile(own, JSON.stringify(self), { mode: 0o600 })
    for (;;) {
      const locks = await locksIn(dir)
      const last = locks.at(-1) ?? 0
      const holder = last === 0 ? undefined : await holderOf(`${dir}/lock.${last}`)
      if (holder !== undefined && (await isAlive(holder))) throw refusal(holder)
      const taken = `${dir}/lock.${last + 1}`
      if (!(await linked(own, taken))) continue
      const now = await locksIn(dir)
      if (now.at(-1) === last + 1) {
        for (const old of now.slice(0, -1)) await removed(`${dir}/lock.${old}`)
        return () => writeFile(taken, FREE)
      }
      await removed(taken)
    }
  } finally {
    await removed(own)
  }
}

async function locksIn(dir: string): Promise<number[]> {
  const names = await readdir(dir)
  return names.flatMap((name) => NAME.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => a - b)
}

/** Undefined for one that was given back, or was not written whole before the power went. */
async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function isAlive({ pid, began, thread }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // Somebody else's process lives too.
    if (codeOf(error) === 'ESRCH') return false
  }
  const now = await beganOf(pid)
  if (now !== undefined && began !== '' && now !== began) return false
  // Not of another process: one that is being killed loses its threads while the disk still works for it.
  if (thread === undefined || pid !== process.pid) return true
  return (await threadBegan(thread.id)) === thread.began
}

/** Boot and clock tick at which a process began, where the system tells. */
async function beganOf(pid: number): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const fields = await statOf(`${pid}`)
    // Dead, though its parent never asked for it; until then its last thread may be at work.
    if (fields[STATE] === 'Z' && fields[THREADS] === '1') return 'over'
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')} ${fields[BEGAN]}`
  } catch {
    return undefined
  }
}

/** The thread that calls it: read at once, as other threads read files for it. */
async function threadHere(): Promise<Pick<Holder, 'thread'>> {
  try {
    const id = basename(readlinkSync('/proc/thread-self'))
    const began = await threadBegan(id)
    return began === undefined ? {} : { thread: { id, began } }
  } catch {
    return {}
  }
}

/** The clock tick at which a thread of this process began; undefined where there is no such thread any more. */
async function threadBegan(id: string): Promise<string | undefined> {
  try {
    return (await statOf(`self/task/${id}`))[BEGAN]
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined
    throw error
  }
}

/** Of those fields of proc(5) that stand behind the name. */
const STATE = 0
const THREADS = 17
const BEGAN = 19

async function statOf(name: string): Promise<string[]> {
  const stat = await readFile(`/proc/${name}/stat`, 'utf8')
  // Names of programs may have spaces and parentheses.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function removed(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code
}
