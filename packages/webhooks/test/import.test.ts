import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test.each([
  ['@keelson/webhooks', false],
  ['@keelson/webhooks/testing', false],
  ['@keelson/webhooks/safe-agent', true],
])('importing %s loads undici: %s', async (name, loads) => {
  const code = `
    import { createRequire } from 'node:module'
    await import('${name}')
    console.log(Object.keys(createRequire(import.meta.url).cache).some((file) => /[\\\\/]undici[\\\\/]/.test(file)))`
  const args = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '-e', code]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  expect(stdout.trim()).toBe(String(loads))
})
