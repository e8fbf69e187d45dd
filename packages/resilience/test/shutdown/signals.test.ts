import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'

const worker = join(import.meta.dirname, 'signal-worker.ts')
const children: ChildProcess[] = []
afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')))

interface Running {
  readonly child: ChildProcess
  readonly lines: string[]
  readonly exited: Promise<[code: number | null, signal: NodeJS.Signals | null]>
  /** Resolves once this line was said. */
  said(line: string): Promise<void>
}

async function run(scene: string): Promise<Running> {
  const args = ['--conditions=@keelson/source', '--no-warnings', worker, scene]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines: string[] = []
  const reader = createInterface(child.stdout)
  reader.on('line', (line) => void lines.push(line))
  const exited = Promise.all([once(child, 'exit'), once(reader, 'close')]).then(([exit]) => exit) as Running['exited']
  async function said(line: string): Promise<void> {
    while (!lines.includes(line)) {
      await Promise.race([once(reader, 'line'), exited.then(() => Promise.reject(new Error(`it never said ${line}`)))])
    }
  }
  await said('up')
  return { child, lines, exited, said }
}

const BEGINS = JSON.stringify({ message: 'shutting down', reason: 'SIGTERM', parts: ['server', 'part'] })
const ends = (code: number, ...stuck: string[]): string =>
  JSON.stringify({ message: 'shut down', reason: 'SIGTERM', code, stuck })

test.each([
  ['good', 0, ['part closes', 'server closes', ends(0)]],
  ['throws', 1, ['part closes', 'stuck: part', 'server closes', ends(1, 'part')]],
  ['hangs in drain', 1, ['part drains', 'stuck: part', 'part closes', 'server closes', ends(1, 'part')]],
  ['hangs in close', 1, ['part closes', 'stuck: part', 'server closes', ends(1, 'part')]],
])('SIGTERM to a process whose part %s', async (scene, code, steps) => {
  const { child, exited, lines } = await run(scene)
  child.kill('SIGTERM')
  expect(await exited).toEqual([code, null])
  expect(lines.filter((line) => !line.startsWith('server drains'))).toEqual(['up', BEGINS, ...steps, `exit ${code}`])
  expect(lines).toContain('server drains while down: draining: SIGTERM')
})

test('a second signal, of either kind, ends the process now with code 1', async () => {
  const { child, exited, said, lines } = await run('hangs for long')
  child.kill('SIGTERM')
  await said('part drains')
  child.kill('SIGINT')
  expect(await exited).toEqual([1, null])
  expect(lines).not.toContain('server closes')
  expect(lines).toContain(ends(1, 'server', 'part'))
  expect(lines).toContain('cut: a second signal: SIGINT')
  expect(lines.at(-1)).toBe('exit 1')
})
