import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

/** What a command has done. */
export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The real command, in an environment that has no more than it needs. */
export async function cli(
  args: readonly string[],
  o: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ran> {
  const child = spawn(process.execPath, ['--conditions=@keelson/source', '--no-warnings', MAIN, ...args], {
    cwd: o.cwd ?? import.meta.dirname,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...o.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: code as number | null, out, err }
}
