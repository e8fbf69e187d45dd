/** Clients of a long export that leave, or read when they like. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, inject, test } from 'vitest'
import { postgresStore } from '@keelson/audit/postgres'
import { createHttp } from '@keelson/http'
import { auditApi, type AuditLogLike } from '@keelson/http/apis'
import type { PlanRoute, Served } from '@keelson/http/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { until } from '../../../../tools/servers/until.ts'
import { expressSubject } from '../../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../../adapters-express/test/support.ts'
import { fastifySubject } from '../../../adapters-fastify/test/fastify-subject.ts'
import { createAudit, generateKey, type Audit, type AuditStore } from '../audit.ts'
import { recordingLogger } from '../support.ts'
import { open, readAnswer } from '../wire.ts'

const ENTRIES = process.env['LONG'] === '1' ? 50_000 : 10_000
/** All of them are more than what sockets take between a server that writes and a client that does not read. */
const TEXT = 'x'.repeat(2_000)
/** Of an export. */
const PAGE = 500
const PATIENCE_MS = 60_000
const STILL_LOOKS = 20
const STARTED = 'http.server.request.start'
const path = '/audit/export?order=asc'
const schema = `export_${crypto.randomUUID().slice(0, 8)}`

let pool: pg.Pool
let audit: Audit
/** How many pages were read, and who waits for the next one. */
let pages = 0
let gate: Promise<unknown> | undefined

beforeAll(async () => {
  pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 3 })
  const store = postgresStore(pool, { schema })
  await migrate(pool, [store])
  const watched: AuditStore = {
    ...store,
    async search(log, q) {
      pages++
      await gate
      return store.search(log, q)
    },
  }
  const { signer } = generateKey('export.example/test')
  audit = createAudit({ store: watched, key: signer, auditReads: 'none', storeTimeout: '30s', emitBuffer: ENTRIES })
  const actor = { type: 'user', id: 'u_1' }
  for (let n = 0; n < ENTRIES; n++) audit.emit({ scope: 'acme', action: 'order.create', actor, data: { n, TEXT } })
  await audit.flush({ timeout: '2m' })
})
afterAll(async () => {
  await audit.close()
  await pool.query(`drop schema ${schema} cascade`)
  await pool.end()
})

describe.each([expressSubject(frameworks[0]!), fastifySubject])('an export of $name', (subject) => {
  let served: Served
  let logger: ReturnType<typeof recordingLogger>
  let over = 0
  let res: ServerResponse | undefined
  const onRequest = (message: unknown): void => void (res = (message as { response: ServerResponse }).response)

  beforeEach(async () => {
    pages = 0
    over = 0
    res = undefined
    subscribe(STARTED, onRequest)
    gate = undefined
    logger = recordingLogger()
    async function* exported(...asked: Parameters<Audit['export']>): AsyncGenerator<string> {
      try {
        yield* audit.export(...asked)
      } finally {
        over++
      }
    }
    const log: AuditLogLike = { ...audit, export: exported }
    const http = createHttp({ logger })
    const api = auditApi({ http, audit: log, scope: 'acme', authorize: 'public' })
    const route: PlanRoute = { method: 'GET', path: '/audit', kind: 'api', api, async enter() {}, async *pieces() {} }
    served = await subject.start([route], http)
  })
  afterEach(async () => {
    unsubscribe(STARTED, onRequest)
    await served.close()
  })

  const ask = (): Socket => open(Number(new URL(served.url).port), { path }, 0)
  const noneIsKept = () =>
    until('no connection is in use', PATIENCE_MS, async () => pool.idleCount === pool.totalCount || undefined)
  const isOver = () => until('the export is over', PATIENCE_MS, async () => over === 1 || undefined)

  test('ends when its client leaves in the middle', async () => {
    const socket = ask()
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await isOver()
    expect(pages).toBeLessThan(ENTRIES / PAGE)
    await noneIsKept()
    expect(logger.errors).toEqual([])
  })

  test('ends when its client leaves before it begins', async () => {
    const first = Promise.withResolvers<void>()
    gate = first.promise
    const socket = ask()
    await until('its first page is asked for', PATIENCE_MS, async () => pages === 1 || undefined)
    socket.destroy()
    await until('the server has seen it', PATIENCE_MS, async () => res?.closed || undefined)
    first.resolve()
    await isOver()
    expect(pages).toBeLessThan(5)
    await noneIsKept()
    expect(logger.errors).toEqual([])
  })

  test('waits for a client that does not read, and has no connection meanwhile', async () => {
    const socket = ask().pause()
    let looks = 0
    let last = 0
    await until('it stands still', PATIENCE_MS, async () => {
      looks = pages > 0 && pages === last ? looks + 1 : 0
      last = pages
      return looks >= STILL_LOOKS || undefined
    })
    expect(pages).toBeLessThan(ENTRIES / PAGE)
    expect(res!.writableLength).toBeLessThan(1 << 20)
    await noneIsKept()
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const { status, body } = readAnswer(Buffer.concat(chunks))
    expect(status).toBe(200)
    const lines = body.toString().trimEnd().split('\n')
    expect(lines).toHaveLength(ENTRIES)
    const numbers = lines.map((line) => (JSON.parse(line) as { audit: { data: { n: number } } }).audit.data.n)
    expect(numbers.every((n, i) => n === i)).toBe(true)
    await isOver()
  })
})
