import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

/** Runs `code` with a pipeline `p` in a process of its own; answers what it printed when it has ended by itself. */
async function ended(code: string): Promise<string> {
  const script = `
    import { createPipeline } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const never = () => new Promise(() => {})
    const p = createPipeline({ name: 'p', deadline: 400, attempt: 200, retry: true, breaker: true, limit: { max: 2, queue: 2 } })
    const startedMs = performance.now()
    process.on('exit', () => console.log(performance.now() - startedMs >= 399 ? 'late' : 'at once'))
    ${code}`
  const args = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [out] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return out.trim()
}

test('a call keeps the process alive until its deadline, and a pipeline without calls never does', async () => {
  expect(await ended(`void p.try(never).then(({ kind }) => console.log(kind))`)).toBe('deadline\nlate')
  // A day: an armed timer of calls that have ended would hold the process for all of it.
  expect(await ended(`await createPipeline({ name: 'q', deadline: '1d' }).run(() => 1)`)).toMatch(/^(at once|late)$/)
  expect(await ended(`void p.try(never); void p.try(() => 1); await p.close()`)).toMatch(/^(at once|late)$/)
})
