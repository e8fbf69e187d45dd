import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { freePort } from '../tools/servers/free-port.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
/** A program that hangs; on a busy machine one that starts takes half a minute. */
const HANGS_MS = 170_000

/** The fenced blocks of a Markdown file. */
function blocks(file: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm')
  return [...readFileSync(join(root, file), 'utf8').matchAll(fence)].map((match) => match[1]!)
}

/** Code of a README runs where its package's dependencies are found. */
function saved(code: string, folder: string): string {
  const file = join(mkdtempSync(join(root, folder, 'readme-test-')), 'readme.ts')
  folders.push(join(file, '..'))
  writeFileSync(file, code)
  return file
}
const folders: string[] = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })))

const node = ['--conditions=@keelson/source', '--no-warnings']

describe('README.md', () => {
  test.each([
    [0, 'examples/quickstart', { id: expect.any(String), sku: 'tea' }],
    [1, 'examples/parcels', { id: 1, sku: 'tea' }],
  ])('route %i answers the curl lines: the second is a replay of the first', async (block, folder, order) => {
    const port = await freePort()
    const code = blocks('README.md', 'ts')[block]!
    const file = saved(code.replace('app.listen(3000)', `app.listen(${port}, '127.0.0.1')`), folder)
    const server = spawn(process.execPath, [...node, file], { stdio: 'inherit' })
    try {
      await listening(port, server)
      const [curls = ''] = blocks('README.md', 'sh')
      const answers = []
      for (const line of curls.trim().split('\n')) {
        const command = line.replace('localhost:3000', `127.0.0.1:${port}`)
        const { stdout } = await run('bash', ['-c', command])
        const [head = '', body] = stdout.split('\r\n\r\n')
        answers.push({ status: head.split(' ')[1], replayed: /^Idempotent-Replayed: true\r?$/im.test(head), body })
      }
      expect(answers).toMatchObject([
        { status: '201', replayed: false },
        { status: '201', replayed: true },
      ])
      expect(answers[1]!.body).toBe(answers[0]!.body)
      expect(JSON.parse(answers[0]!.body!)).toEqual(order)
    } finally {
      server.kill('SIGKILL')
    }
  })

  test('its ten lines are the quickstart', () => {
    const quickstart = readFileSync(join(root, 'examples/quickstart/src/main.ts'), 'utf8')
    const [lines = ''] = blocks('README.md', 'ts')
    expect(quickstart.startsWith(lines.replace('app.listen(3000)\n', ''))).toBe(true)
  })

  test('its commands are scripts of this repository, and CI runs its test command', () => {
    const scripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts
    const commands = blocks('README.md', 'sh').slice(1).join('').trim().split('\n')
    expect(commands).toContain('npx -y pnpm@12 demo')
    for (const command of commands) {
      const name = /^npx -y pnpm@12 (\S+)/.exec(command)?.[1]
      expect(Object.keys(scripts), command).toContain(name)
    }
    expect(readFileSync(join(root, '.ci/run'), 'utf8')).toContain('npx -y pnpm@12 test')
  })
})

describe.each([
  'kernel',
  'idempotency',
  'cache',
  'resilience',
  'webhooks',
  'audit',
  'sync',
  'http',
  'adapters-express',
  'adapters-fastify',
])('packages/%s/README.md', (name) => {
  const file = `packages/${name}/README.md`
  test.each(blocks(file, 'ts'))('a code block runs: %#', async (code) => {
    const port = await freePort()
    // A server of an example ends when its first lines have worked.
    const program = code
      .replace(/listen\(3000\)/, `listen(${port}, '127.0.0.1', () => process.exit())`)
      .replace(/listen\(\{ port: 3000 \}\)/, `listen({ port: ${port}, host: '127.0.0.1' }).then(() => process.exit())`)
    const isOfExample = program.includes('express') && !program.includes('@keelson/webhooks')
    const folder = isOfExample ? 'examples/parcels' : `packages/${name}`
    const { stdout, stderr } = await run(process.execPath, [...node, saved(program, folder)], { timeout: HANGS_MS })
    expect(stderr).toBe('')
    const printed = stdout.replaceAll(/\s+/g, ' ')
    for (const [, told] of code.matchAll(/console\.log\(.* \/\/ (\{.*\}|\w+)/g)) expect(printed).toContain(told)
  })
})

async function listening(port: number, server: ChildProcess): Promise<void> {
  const ended = once(server, 'exit').then(() => Promise.reject(new Error('the example ended')))
  ended.catch(() => {})
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const up = once(socket, 'connect').then(
      () => true,
      () => false,
    )
    const connected = await Promise.race([up, ended])
    socket.destroy()
    if (connected) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
