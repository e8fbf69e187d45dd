import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { awakeMs } from '../awake-clock.ts'

test('what is waited for counts; what keeps the process from running does not', async () => {
  const beganMs = awakeMs()
  await sleep(200)
  const waitedMs = awakeMs() - beganMs
  expect(waitedMs).toBeGreaterThan(20)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
  await sleep(1)
  expect(awakeMs() - beganMs - waitedMs).toBeLessThan(500)
})
