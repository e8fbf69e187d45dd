import { expect, test } from 'vitest'
import { startPostgres } from '../../../tools/servers/postgres.ts'
import { until } from '../../../tools/servers/until.ts'
import { startNodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

const PATIENCE_MS = 60_000
let keys = 0

async function book(
  url: string,
): Promise<{ status: number; retryAfter: string | null; code: unknown; tookMs: number }> {
  const startMs = performance.now()
  const response = await fetch(`${url}/shipments`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer m1',
      'content-type': 'application/json',
      'idempotency-key': `outage-${keys++}`,
    },
    body: JSON.stringify({ to: 'Lyon', kg: 1 }),
  })
  const { code } = (await response.json()) as { code?: unknown }
  const retryAfter = response.headers.get('retry-after')
  return { status: response.status, retryAfter, code, tookMs: performance.now() - startMs }
}

test('a frozen database: 503 with Retry-After in time, then at once; back by itself, and the node lives', async () => {
  await using server = await startPostgres()
  // Who asks until it is answered asks often.
  const settings = { ...shared, STORE_TIMEOUT: '250ms', BOOKINGS_PER_MINUTE: 1_000_000 }
  const node = await startNodeProcess({ DATABASE_URL: server.url, ...settings })
  const { url } = node.ready
  const served = async (): Promise<true | undefined> => (await book(url)).status === 201 || undefined
  // A machine that stalls is longer than 250 ms.
  await until('a booking', PATIENCE_MS, served)

  server.freeze()
  const first = await book(url)
  expect(first).toMatchObject({ status: 503, retryAfter: '1', code: 'store-unavailable' })
  const rest = await Promise.all(Array.from({ length: 20 }, () => book(url)))
  expect(new Set(rest.map(({ status }) => status))).toEqual(new Set([503]))
  // Each waits for storeTimeout, 250 ms, or not at all; a busy machine takes its own time. What hangs takes minutes.
  for (const { tookMs } of [first, ...rest]) expect(tookMs).toBeLessThan(10_000)

  server.thaw()
  await until('a booking again', PATIENCE_MS, served)
  expect(await node.end('SIGTERM')).toEqual([0, null])
})
