import { expect, test } from 'vitest'
import { startPostgres } from '../../../tools/servers/postgres.ts'
import { startNodeProcess } from '../src/node-process.ts'

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
  const node = await startNodeProcess({ DATABASE_URL: server.url })
  const { url } = node.ready
  expect(await book(url)).toMatchObject({ status: 201 })

  server.freeze()
  const first = await book(url)
  expect(first).toMatchObject({ status: 503, retryAfter: '1', code: 'store-unavailable' })
  const rest = await Promise.all(Array.from({ length: 20 }, () => book(url)))
  expect(new Set(rest.map(({ status }) => status))).toEqual(new Set([503]))
  // storeTimeout is 250 ms; the rest is for a machine that is busy with other tests.
  for (const { tookMs } of [first, ...rest]) expect(tookMs).toBeLessThan(750)

  server.thaw()
  while ((await book(url)).status !== 201);
  expect(await node.end('SIGTERM')).toEqual([0, null])
})
