import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { freePort } from '../../../tools/servers/free-port.ts'

const root = join(import.meta.dirname, '../../..')
/** A command, and what the document says that it prints. */
const BLOCK = /^```sh\n([\s\S]*?)^```\n(?:\n^```text\n([\s\S]*?)^```\n)?/gm
const PATIENCE_MS = 580_000

/** Lines that the document shows and that did not come, in this order; others may be between them. */
function missing(shown: string, printed: string): string[] {
  const lines = printed.split(/\r?\n/)
  return shown
    .trim()
    .split('\n')
    .filter((line) => {
      const parts = line.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      const pattern = new RegExp(`^\\s*${parts.join('.*')}$`, 'i')
      const at = lines.findIndex((each) => pattern.test(each))
      lines.splice(0, at + 1)
      return at === -1
    })
}

test('the lines of docs/parcels.md print what it shows', async () => {
  let page = await readFile(join(root, 'docs/parcels.md'), 'utf8')
  for (const port of [3000, 4000, 4001]) page = page.replaceAll(`${port}`, `${await freePort()}`)
  const blocks = [...page.matchAll(BLOCK)].map(([, command = '', shown = '']) => ({ command, shown }))
  expect(blocks.length).toBeGreaterThanOrEqual(15)

  const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  const { DATABASE_URL: _, REDIS_URL: __, ...clean } = process.env
  // A machine that stalls is no dead store, and no booking that never ends.
  const patient = { STORE_TIMEOUT: '30s', DUPLICATE_WAIT: '60s' }
  const env = { ...clean, ...patient, TMPDIR: folder, AUDIT_FILE: join(folder, 'audit.jsonl') }
  // One shell, as a reader's: what a block sets the next one knows. All that it starts is one group of processes.
  const shell = spawn('bash', ['-s'], { cwd: root, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  const stop = (): void => {
    try {
      process.kill(-shell.pid!, 'SIGKILL')
    } catch {} // it has ended by itself
  }
  const timer = setTimeout(stop, PATIENCE_MS)
  const [stdout, stderr] = [text(shell.stdout), text(shell.stderr)]
  shell.stdin.end(
    `${blocks.map(({ command }, i) => `printf '\\n@%s@\\n' ${i}\n${command}`).join('\n')}\nkill -KILL 0\n`,
  )
  try {
    const printed = (await stdout).split(/^@\d+@$/m).slice(1)
    const wrong = blocks.flatMap(({ command, shown }, i) => {
      const lines = shown === '' && printed[i] !== undefined ? [] : missing(shown, printed[i] ?? '')
      return lines.length === 0 ? [] : [{ command, lines, printed: printed[i] }]
    })
    expect(wrong, await stderr).toEqual([])
  } finally {
    clearTimeout(timer)
    stop()
    await rm(folder, { recursive: true, force: true })
  }
}, 600_000)
