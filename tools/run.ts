import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { root } from './packages.ts'

/** A command's end and all that it printed. */
export interface Ran {
  readonly ok: boolean
  readonly output: string
}

/** Runs a command, those of the root's devDependencies first; it never rejects. */
export function run(command: string, args: readonly string[], o: { cwd?: string } = {}): Promise<Ran> {
  const PATH = [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
  const child = spawn(command, args, {
    cwd: o.cwd ?? root,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ ok: false, output: error.message }))
    child.once('close', (code) => resolve({ ok: code === 0, output }))
  })
}
