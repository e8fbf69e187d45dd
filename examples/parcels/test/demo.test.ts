import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const demo = fileURLToPath(new URL('../src/demo.ts', import.meta.url))

test('the demo says each step in a sentence, ends by itself with 0, and leaves nothing listening', async () => {
  const { DATABASE_URL: _, REDIS_URL: __, ...env } = process.env
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=@keelson/source', demo], {
    env,
  })
  const lines = stdout.trim().split('\n')
  const steps = lines.filter((line) => /^✓ \d\d .+ \(\d+ ms\)$/.test(line))
  expect(lines.at(-1)).toMatch(new RegExp(`^demo: ${steps.length} of ${steps.length} steps ok in \\d+\\.\\d s$`))
  expect(steps.length).toBeGreaterThanOrEqual(7)
  expect(stderr).toBe('')
})
