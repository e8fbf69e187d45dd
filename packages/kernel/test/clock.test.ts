import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '../src/index.ts'

afterEach(() => {
  vi.useRealTimers()
})

const LONGEST_MS = 2 ** 31 - 1

test('the wall clock is that of the machine, the monotonic one has fractions and never goes back', () => {
  const beforeMs = Date.now()
  const nowMs = systemClock.now()
  expect(beforeMs <= nowMs && nowMs <= Date.now()).toBe(true)
  const readings = Array.from({ length: 1_000 }, () => systemClock.monotonic())
  expect(readings.every((reading, i) => i === 0 || readings[i - 1]! <= reading)).toBe(true)
  expect(readings.some((reading) => !Number.isInteger(reading))).toBe(true)
})

test.each([
  ['just fits', LONGEST_MS],
  ['is one ms longer', LONGEST_MS + 1],
  ['takes 100 days', 100 * 86_400_000],
])('a delay that %s fires once, on time', async (_, delayMs) => {
  vi.useFakeTimers()
  let fired = 0
  systemClock.timer(() => fired++, delayMs)
  await vi.advanceTimersByTimeAsync(delayMs - 1)
  expect(fired).toBe(0)
  await vi.advanceTimersByTimeAsync(1)
  expect(fired).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})

test('a chained timer is cancelled in any of its steps', async () => {
  vi.useFakeTimers()
  let fired = 0
  const timer = systemClock.timer(() => fired++, 3 * LONGEST_MS)
  await vi.advanceTimersByTimeAsync(2 * LONGEST_MS + 5)
  timer.cancel()
  expect(vi.getTimerCount()).toBe(0)
  await vi.advanceTimersByTimeAsync(2 * LONGEST_MS)
  expect(fired).toBe(0)
})

test('sleep ends by time, or with the reason of its signal, and leaves nothing behind', async () => {
  await systemClock.sleep(1)
  const reason = new Error('enough')
  const controller = new AbortController()
  const asleep = systemClock.sleep(60_000, controller.signal)
  controller.abort(reason)
  await expect(asleep).rejects.toBe(reason)
  await expect(systemClock.sleep(60_000, controller.signal)).rejects.toBe(reason)

  const signal = new AbortController().signal
  const removed = vi.spyOn(signal, 'removeEventListener')
  await systemClock.sleep(1, signal)
  expect(removed).toHaveBeenCalledOnce()
})

/** What a process prints that runs `code` with the kernel as `kernel`, and how it ended. */
async function run(code: string): Promise<string> {
  const url = join(import.meta.dirname, '../src/index.ts')
  const program = `const { systemClock } = await import(${JSON.stringify(url)})\n${code}`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    // Longer than the timer that must not be waited for.
    timeout: 150_000,
  })
  return stdout.trim()
}

test('a timer does not keep the process alive, a ref timer and a sleep do', async () => {
  const [timer, ref, sleep] = await Promise.all([
    run(`systemClock.timer(() => console.log('fired'), 60_000); console.log('end')`),
    run(`systemClock.timer(() => console.log('fired'), 50, { ref: true }); console.log('end')`),
    run(`systemClock.sleep(50).then(() => console.log('slept')); console.log('end')`),
  ])
  expect([timer, ref, sleep]).toEqual(['end', 'end\nfired', 'end\nslept'])
})

test('a timer that was held up does not wait for something else to happen', async () => {
  const printed = await run(`
    const next = setTimeout(() => {}, 60_000)
    // Later: at its start a process has much to do.
    setTimeout(() => {
      const startMs = performance.now()
      systemClock.timer(() => {
        console.log(performance.now() - startMs < 30_000 ? 'fired' : 'fired with the next event')
        clearTimeout(next)
      }, 20)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }, 1_000)`)
  expect(printed).toBe('fired')
})
