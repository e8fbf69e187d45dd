import { expect, test } from 'vitest'
import { createHttp } from '@keelson/http'
import { context } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createPipeline } from '@keelson/resilience'
import { exchange, recordingLogger } from './support.ts'

test('the calls of a request to other services, and their ms, stand in its end line; a retry is part of its call', async () => {
  const clock = virtualClock()
  const logger = recordingLogger()
  const http = createHttp({ logger, clock })
  const carrier = createPipeline({ name: 'carrier', clock, retry: { attempts: 2, base: 0 } })
  const x = exchange({ route: '/quotes' })
  const known = http.begin(x)
  const works = context.run(known, async () => {
    await carrier.run(() => clock.sleep(30))
    await carrier.try(({ attempt }) => (attempt === 1 ? Promise.reject(new Error('flaky')) : clock.sleep(12)))
  })
  const outside = carrier.run(() => clock.sleep(1))
  await clock.advance(100)
  await works
  await outside
  x.end(200)
  expect(logger.lines.at(-1)!.fields).toMatchObject({ counters: { calls: 2, callMs: 42 } })
})
