import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { resilientFetch } from '../../src/fetch/index.ts'
import { startOrigin, type Origin } from './origin.ts'

const children: ChildProcess[] = []
const origins: Origin[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit')
  }
  await Promise.all(origins.splice(0).map((origin) => origin.close()))
})

/** A process, and the first line that it writes. */
async function started(file: string, ...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const flags = ['--expose-gc', '--conditions=@keelson/source', '--no-warnings']
  const child = spawn(process.execPath, [...flags, join(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = await once(child.stdout, 'data')
  return { child, line: String(line).trim() }
}

async function origin(bytes: number): Promise<Origin> {
  const one = await startOrigin((res, n) => res.writeHead(n === 0 ? 503 : 200).end(Buffer.alloc(bytes)))
  origins.push(one)
  return one
}

test('a process that has nothing to do ends by itself, whatever it left unread', async () => {
  const { url } = await origin(1_000)
  const { child, line } = await started('caller-worker.ts', url, 'end')
  expect(line).toBe('200')
  if (child.exitCode === null) await once(child, 'exit')
  expect(child.exitCode).toBe(0)
})

test('the socket of an answer that is forgotten unread is given back by the collector', async () => {
  const { url, underWay } = await origin(32 * 2 ** 20)
  const { child, line } = await started('caller-worker.ts', url, 'forget')
  expect(line).toBe('200')
  await expect.poll(() => underWay.size, { timeout: 90_000 }).toBe(0)
  expect(child.exitCode).toBeNull()
})

test('a frozen server is left on time, before its headers and within its body', async () => {
  const { child, line } = await started('server-worker.ts')
  const url = `http://127.0.0.1:${line}`
  // The server is real, the time is not: it must answer in time while it runs, however busy the machine is.
  const clock = virtualClock()
  const retry = { attempts: 2, base: 1 }
  const up = resilientFetch({ name: 'up', attempt: 300, bodyIdle: 300, retry, limit: 1, clock })
  const part = await up(`${url}/part`)
  child.kill('SIGSTOP')
  await leftAfter(300, part.text())
  await leftAfter(2 * 300 + 10, up(url))
  async function leftAfter(ms: number, call: Promise<unknown>): Promise<void> {
    call.catch(() => {})
    await clock.advance(ms)
    await expect(call).rejects.toMatchObject({ code: 'ATTEMPT_TIMEOUT' })
  }
  const { counts, inFlight } = await up.pipeline.inspect()
  expect([counts['attempts'], inFlight]).toEqual([3, 0])
  child.kill('SIGCONT')
  await expect.poll(async () => (await up(url).catch(() => undefined))?.text(), { timeout: 90_000 }).toBe('whole')
})
