import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createAppender } from '../../src/appender.ts'
import { AuditError } from '../../src/error.ts'
import { memoryStore, type AuditStore } from '../../src/index.ts'
import { entry, open } from './stage.ts'

test('a burst is no outage: batches are as large as the store takes in a fraction of its time', async () => {
  const clock = virtualClock()
  const timeoutMs = 250
  const written: number[] = []
  let late = 0
  const appender = createAppender(
    async (rows) => {
      // A ms a row.
      await clock.advance(Math.min(rows.length, timeoutMs))
      if (rows.length > timeoutMs) {
        late++
        throw new AuditError('STORE_UNAVAILABLE', 'no answer')
      }
      written.push(rows.length)
    },
    { timeoutMs, clock },
  )
  const rows = Array.from({ length: 5_000 }, (_, i) => ({ id: String(i), bytes: new Uint8Array(10), keys: [] }))
  const again = async (row: (typeof rows)[number]): Promise<void> => appender.append(row).catch(() => again(row))
  await Promise.all(rows.map(again))
  expect(late).toBeLessThanOrEqual(1)
  expect(written.reduce((sum, n) => sum + n, 0)).toBe(5_000)
  expect(Math.max(...written.slice(5))).toBeLessThanOrEqual(timeoutMs / 4)
})

test('who waits for an entry does not wait for all that was emitted before', async () => {
  const inner = memoryStore()
  let appended = 0
  const store: AuditStore = {
    ...inner,
    async append(log, rows) {
      await setImmediate()
      await inner.append(log, rows)
      appended += rows.length
    },
  }
  const log = open({ store, storeTimeout: '5s' })
  for (let i = 0; i < 10_000; i++) log.emit(entry)
  await log.record(entry)
  expect(appended).toBeLessThan(1_000)
  await expect.poll(() => appended, { timeout: 20_000 }).toBe(10_001)
  expect((await log.inspect()).dropped).toBe(0)
})
