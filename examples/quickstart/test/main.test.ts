import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

test('it prints two curl lines, and the second is answered as the first was', async () => {
  const server = spawn(process.execPath, ['--conditions=@keelson/source', 'src/main.ts'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const curls: string[] = []
    for await (const line of createInterface({ input: server.stdout })) {
      if (line.startsWith('curl ')) curls.push(line)
      if (curls.length === 2) break
    }
    expect(curls).toHaveLength(2)
    const answers = []
    for (const curl of curls) {
      const { stdout } = await run('bash', ['-c', curl.replace('localhost', '127.0.0.1')])
      const [head = '', body] = stdout.split('\r\n\r\n')
      answers.push({ status: head.split(' ')[1], replayed: /^Idempotent-Replayed: true\r?$/im.test(head), body })
    }
    expect(answers).toMatchObject([
      { status: '201', replayed: false },
      { status: '201', replayed: true },
    ])
    expect(answers[1]!.body).toBe(answers[0]!.body)
    expect(JSON.parse(answers[0]!.body!)).toEqual({ id: expect.any(String), sku: 'tea' })
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
})
