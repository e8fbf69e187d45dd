import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * Runs `code`, a module, in a process that has nothing else to do, as if it stood in `folder`. Answers what it printed
 * when it has ended by itself; rejects when it failed, or ended while it still waited for something.
 */
export async function ended(folder: string, code: string): Promise<string> {
  const args = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '--eval', code]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  const [out, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (status !== 0) throw new Error(`it ended with ${String(status)}, after: ${out}`)
  return out.trim()
}
