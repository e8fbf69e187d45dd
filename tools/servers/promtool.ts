/** Prometheus' own judge of a page of metrics. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'

/**
 * What `promtool check metrics` says of a page in the text format, line by line; nothing when all is well. Installs the
 * program on Debian as root; else throws if it is missing.
 */
export async function promtoolFaults(page: string): Promise<string[]> {
  const programs = await demandProgram('promtool', findOrInstallPromtool)
  const child = spawn(join(programs, 'promtool'), ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {}) // it has ended: its status tells why
  child.stdin.end(page)
  const [said, complained, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  const lines = (said + complained).split('\n').filter((line) => line !== '')
  return code === 0 || lines.length > 0 ? lines : [`promtool ended with ${String(code)}`]
}

/** The folder of `promtool`: it comes with Debian's prometheus, whose service nobody here needs. */
async function findOrInstallPromtool(): Promise<Found> {
  const find = (): string | undefined => folderWith(foldersOnPath(), 'promtool')
  return await findOrInstall({ find, debianPackage: 'prometheus' })
}
