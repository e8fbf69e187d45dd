/** Postgres and pgbouncer refuse to run as root, so as root all test servers (and their files) belong to another user. */
import { execFileSync } from 'node:child_process'
import { chown, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What `spawn` takes; empty unless we are root. */
export type ServerUser = { uid: number; gid: number } | Record<string, never>

/** The user that runs the test servers: as root `postgres`, where there is none `nobody`. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {}
  return idOf('postgres') ?? idOf('nobody') ?? {}
}

function idOf(name: string): ServerUser | undefined {
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  try {
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return undefined
  }
}

/** A new folder `<tmp>/<prefix>XXXXXX` that belongs to `user`. The caller removes it. */
export async function makeServerFolder(prefix: string, user: ServerUser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix))
  if ('uid' in user) await chown(folder, user.uid, user.gid)
  return folder
}
