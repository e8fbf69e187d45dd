import { setImmediate } from 'node:timers/promises'
import { systemClock } from '@keelson/kernel'
import { expect, test } from 'vitest'
import { createAppender } from '../src/appender.ts'
import type { Row } from '../src/store.ts'

const o = { timeoutMs: 5_000, clock: systemClock }
const ROW: Row = { id: '018f0000-0000-7000-8000-000000000000', bytes: new Uint8Array(10), keys: [] }

test('callers who are told together ask again together: each batch has a row of each of them', async () => {
  const batches: number[] = []
  const appender = createAppender(async (rows) => {
    batches.push(rows.length)
    await setImmediate()
  }, o)
  const caller = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      await appender.append(ROW)
      // What an application does between two entries.
      await Promise.resolve()
    }
  }
  await Promise.all(Array.from({ length: 8 }, caller))
  expect(batches).toEqual([8, 8, 8, 8, 8])
})
