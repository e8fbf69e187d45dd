/**
 * `initdb` takes a second, copying its result a fraction. The result is kept as one tar file in the temp folder: a file
 * appears by one rename and goes as a whole, whoever races with us or cleans up.
 */
import { execFile } from 'node:child_process'
import { rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isOwnFile } from './own-file.ts'
import { makeServerFolder, type ServerUser } from './server-user.ts'

const PROGRAM_TIMEOUT_MS = 60_000
// Trust is for a server on loopback that lives for a test. No locale: every machine sorts alike.
const INITDB_ARGS = ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--no-locale', '--no-sync'] as const

/** Makes `<folder>/data`, a new cluster with the superuser `postgres`. Both belong to `user`. */
export async function unpackCluster(programs: string, user: ServerUser, folder: string): Promise<void> {
  const run = runner(user, folder)
  const version = /\d+(\.\d+)?/.exec(await run(join(programs, 'postgres'), '--version'))?.[0] ?? 'unknown'
  const uid = 'uid' in user ? user.uid : process.getuid?.()
  const template = join(tmpdir(), `keelson-initdb-${version}-${uid}.tar`)
  if (!(await isOwnFile(template, uid))) await makeTemplate(programs, user, template)
  await run('tar', '-xf', template)
}

async function makeTemplate(programs: string, user: ServerUser, template: string): Promise<void> {
  const folder = await makeServerFolder('keelson-initdb-', user)
  try {
    const run = runner(user, folder)
    await run(join(programs, 'initdb'), ...INITDB_ARGS, '--pgdata=data')
    await run('tar', '-cf', 'template.tar', 'data')
    await rename(join(folder, 'template.tar'), template)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs programs as `user` in `cwd` and answers what they print. */
function runner(user: ServerUser, cwd: string): (program: string, ...args: string[]) => Promise<string> {
  return async (program, ...args) => {
    const { stdout } = await promisify(execFile)(program, args, { ...user, cwd, timeout: PROGRAM_TIMEOUT_MS })
    return stdout
  }
}
