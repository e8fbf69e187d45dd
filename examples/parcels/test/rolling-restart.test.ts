import pg from 'pg'
import { expect, inject, test, vi } from 'vitest'
import { freePort } from '../../../tools/servers/free-port.ts'
import { serversUp, startHaproxy } from '../../../tools/servers/haproxy.ts'
import { until } from '../../../tools/servers/until.ts'
import { startNodeProcess, type NodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

const LONG = process.env['LONG'] === '1'
/** At least. */
const REQUESTS = LONG ? 100_000 : 5_000
const RESTARTS = 2
const PATIENCE_MS = 60_000
const CLIENTS = 16
const CHECK_MS = 50
vi.setConfig({ testTimeout: LONG ? 1_800_000 : 900_000 })

/** Of a request that is no booking. */
interface Told {
  readonly status: number
  readonly text: string
}

test('two nodes behind a load balancer are restarted in turn: no request fails, none is lost', async () => {
  await using stack = new AsyncDisposableStack()
  const pool = stack.adopt(new pg.Pool({ connectionString: inject('databaseUrl') }), (each) => each.end())
  const ports = [await freePort(), await freePort()] as const
  const start = (port: number): Promise<NodeProcess> =>
    startNodeProcess({
      DATABASE_URL: inject('databaseUrl'),
      ...shared,
      PORT: String(port),
      // Restarts are of interest here, not how long a busy machine takes.
      STORE_TIMEOUT: '30s',
      BOOKINGS_PER_MINUTE: 1_000_000,
      // Longer than the balancer needs to see that readiness is gone, also of a node that stands still for a while.
      PRESTOP: `${60 * CHECK_MS}ms`,
    })
  const nodes = await Promise.all(ports.map(start))
  stack.defer(async () => void (await Promise.all(nodes.map((node) => node.end('SIGTERM')))))
  const balancer = stack.use(await startHaproxy({ ports, readinessPath: '/health/ready', checkMs: CHECK_MS }))
  const bothUp = async (): Promise<true | undefined> => (await serversUp(balancer.url)) === 2 || undefined
  await until('both nodes take traffic', PATIENCE_MS, bothUp)

  const prefix = `rolling-${process.pid}-${Date.now()}`
  const failed: string[] = []
  const told = { sent: 0, booked: 0 }
  let restarts = 0
  const isOver = (): boolean => told.sent >= REQUESTS && restarts >= RESTARTS
  /** One client after the other request: a booking, then a look at it. */
  async function client(): Promise<void> {
    while (!isOver()) {
      const n = (told.sent += 2)
      const answer = await ask(balancer.url, 'POST', '/shipments', `${prefix}-${n}`).catch(saysWhy)
      if (answer.status !== 201) failed.push(`${answer.status} ${answer.text}`)
      else told.booked++
      const path = answer.status === 201 ? `/shipments/${(JSON.parse(answer.text) as { id: string }).id}` : '/shipments'
      const look = await ask(balancer.url, 'GET', path).catch(saysWhy)
      if (look.status !== 200) failed.push(`${look.status} ${look.text}`)
    }
  }
  const clients = Promise.all(Array.from({ length: CLIENTS }, client))
  while (!isOver()) {
    const at = restarts % ports.length
    const node = nodes[at]!
    expect(await node.end('SIGTERM')).toEqual([0, null])
    nodes[at] = await start(ports[at]!)
    await until('it takes traffic again', PATIENCE_MS, bothUp)
    restarts++
  }
  await clients
  console.info(`${told.sent} requests, ${restarts} restarts, ${failed.length} failed`)
  expect([...new Set(failed)]).toEqual([])
  const { rows } = await pool.query('select count(*)::int as n from parcels.shipments where "to" like $1', [
    `${prefix}-%`,
  ])
  expect(rows).toEqual([{ n: told.booked }])
})

async function ask(url: string, method: string, path: string, key?: string): Promise<Told> {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: 'Bearer m1',
      ...(key === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': key }),
    },
    ...(key === undefined ? {} : { body: JSON.stringify({ to: key, kg: 1 }) }),
  })
  return { status: response.status, text: await response.text() }
}

function saysWhy(error: Error): Told {
  return { status: 0, text: `${error.message}: ${(error.cause as Error | undefined)?.message}` }
}
