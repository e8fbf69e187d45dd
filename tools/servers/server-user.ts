/** Postgres and pgbouncer refuse to run as root, so as root they (and their files) belong to the user `postgres`. */
import { execFileSync } from 'node:child_process'
import { chown, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What `spawn` takes; empty unless we are root. */
export type ServerUser = { uid: number; gid: number } | Record<string, never>

/** The user that runs the test servers. Throws as root on a machine without a user `postgres`. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** A new folder `<tmp>/<prefix>XXXXXX` that belongs to `user`. The caller removes it. */
export async function makeServerFolder(prefix: string, user: ServerUser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix))
  if ('uid' in user) await chown(folder, user.uid, user.gid)
  return folder
}
