/** Audited routes over a Postgres that stands still: the server itself (SIGSTOP), or the way to it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { fileStore } from '@keelson/audit/file'
import { createHttp, type Http } from '@keelson/http'
import type { PlanRoute } from '@keelson/http/conformance'
import { startFaultProxy, type FaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { startPostgres, type PostgresServer } from '../../../tools/servers/postgres.ts'
import { until } from '../../../tools/servers/until.ts'
import { expressSubject } from '../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../adapters-express/test/support.ts'
import { fastifySubject } from '../../adapters-fastify/test/fastify-subject.ts'
import { auditOn, type Audit, type Entry } from './audit.ts'
import { recordingLogger } from './support.ts'

const PATIENCE_MS = 90_000
const AT_ONCE = 10
const EMITTED = 30
const EMIT_BUFFER = 20
const entry = { scope: 'acme', action: 'order.seen', actor: { type: 'user', id: 'u_1' } }

let server: PostgresServer
let proxy: FaultProxy
beforeAll(async () => {
  server = await startPostgres()
  proxy = await startFaultProxy(server)
})
afterAll(async () => {
  await proxy.close()
  await server.stop()
})

const faults = [
  { what: 'the server', freeze: () => server.freeze(), thaw: () => server.thaw() },
  { what: 'the way to it', freeze: () => proxy.freeze(), thaw: () => proxy.pass() },
  // All is done, and nobody hears of it; those connections stay dead.
  { what: 'the way back', freeze: () => proxy.mute(), thaw: () => proxy.pass() },
]
const variants = [expressSubject(frameworks[0]!), fastifySubject].flatMap((subject) =>
  [false, true].map((hasSpool) => ({ subject, hasSpool })),
)

type Stage = Awaited<ReturnType<typeof stage>>

/** An application on its own pool and schema. */
async function stage({ subject, hasSpool }: (typeof variants)[number], name: string) {
  const { host, port } = proxy
  // Only the pool can free the slot of a connection that was accepted and is never answered.
  const pool = new pg.Pool({ host, port, user: 'postgres', max: 4, connectionTimeoutMillis: 10_000 })
  pool.on('error', () => {})
  const dir = await mkdtemp(join(tmpdir(), 'keelson-spool-'))
  const logger = recordingLogger()
  const spool = hasSpool ? { spool: fileStore({ dir, appendTimeout: '30s' }) } : {}
  const audit = await auditOn(pool, name, { storeTimeout: '5s', emitBuffer: EMIT_BUFFER, logger, ...spool })
  await audit.start()
  const http = createHttp({ audit, logger, scope: () => 'acme' })
  const runs = { plain: 0, required: 0 }
  const route = (path: 'plain' | 'required'): PlanRoute => ({
    method: 'POST',
    path: `/${path}`,
    kind: 'json',
    policy: { audited: { action: `order.${path}`, required: path === 'required' } },
    enter: async () => void runs[path]++,
    async *pieces() {},
  })
  const served = await subject.start([route('plain'), route('required')], http)
  onTestFinished(async () => {
    await served.close()
    await audit.close()
    await pool.end()
    await rm(dir, { recursive: true, force: true })
  })
  return { name: `${subject.name}, spool: ${hasSpool}`, hasSpool, audit, http, runs, url: served.url }
}

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly retryAfter: string | null
  readonly id: string
}

async function call({ url }: Stage, path: 'plain' | 'required'): Promise<Answer> {
  const id = `c-${crypto.randomUUID()}`
  const headers = { 'X-Correlation-Id': id, 'Content-Type': 'application/json' }
  const answer = await fetch(`${url}/${path}`, { method: 'POST', headers, body: '{}' })
  const { code } = (await answer.json()) as { code?: string }
  return { status: answer.status, code, retryAfter: answer.headers.get('retry-after'), id }
}
const many = (stage: Stage, path: 'plain' | 'required'): Promise<Answer[]> =>
  Promise.all(Array.from({ length: AT_ONCE }, () => call(stage, path)))

async function all(audit: Audit): Promise<Entry[]> {
  await audit.flush({ timeout: '90s' })
  const entries: Entry[] = []
  for (let after: string | undefined; ;) {
    const page = await audit.query({ scope: '*', order: 'asc', limit: 1_000, ...(after && { after }) })
    entries.push(...page.entries)
    after = page.next
    if (after === undefined) return entries
  }
}

const notAudited = (http: Http): number =>
  http
    .metrics()
    .find(({ name }) => name === 'keelson_http_not_audited_total')!
    .samples.reduce((sum, { value }) => sum + value, 0)

test.each(faults)(
  'while $what stands still each request is answered; behind it all that was told is there, once',
  async ({ freeze, thaw, what }) => {
    const word = what.replaceAll(' ', '_')
    const stages = await Promise.all(variants.map((variant, i) => stage(variant, `frozen_${word}_${i}`)))
    const before = await Promise.all(stages.map((one) => Promise.all([many(one, 'plain'), many(one, 'required')])))
    // On their way when it stops.
    const flying = stages.map((one) => Promise.all([many(one, 'plain'), many(one, 'required')]))
    freeze()
    try {
      const surprised = await Promise.all(flying)
      for (const one of stages) for (let n = 0; n < EMITTED; n++) one.audit.emit(entry)
      const runs = stages.map((one) => ({ ...one.runs }))
      const during = await Promise.all(stages.map((one) => Promise.all([many(one, 'plain'), many(one, 'required')])))
      for (const [i, one] of stages.entries()) {
        for (const { status, code, retryAfter } of during[i]![1]) {
          expect([status, code]).toEqual([503, 'store-unavailable'])
          expect(Number(retryAfter)).toBeGreaterThanOrEqual(1)
        }
        // What was done is no error, whatever becomes of its entry.
        for (const { status } of [...during[i]![0], ...surprised[i]![0]]) expect(status).toBe(201)
        expect(one.runs.required).toBe(runs[i]!.required)
        expect(await one.audit.inspect()).toMatchObject({ state: one.hasSpool ? 'degraded' : 'down' })
      }
      thaw()
      for (const [i, one] of stages.entries()) {
        await until(`${one.name}: the store is back`, PATIENCE_MS, async () =>
          (await call(one, 'required')).status === 201 ? true : undefined,
        )
        const entries = await all(one.audit)
        expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length)
        const ofCall = (id: string): (string | undefined)[] =>
          entries.filter(({ correlationId }) => correlationId === id).map(({ outcome }) => outcome)
        for (const { id } of before[i]![0]) expect(ofCall(id)).toEqual(['success'])
        for (const { id } of before[i]![1]) expect(ofCall(id)).toEqual(['unknown', 'success'])

        const plain = [...surprised[i]![0], ...during[i]![0]].map(({ id }) => ofCall(id))
        const missing = plain.filter((found) => found.length === 0).length
        // What was told twice, to the store and the spool, is there once.
        expect(plain.filter((found) => found.length > 1)).toEqual([])
        if (one.hasSpool) expect([missing, notAudited(one.http)]).toEqual([0, 0])
        else expect(notAudited(one.http)).toBeGreaterThanOrEqual(missing)
        for (const { status, id } of [...surprised[i]![1], ...during[i]![1]]) {
          const found = ofCall(id)
          if (status === 201 && one.hasSpool) expect(found).toEqual(['unknown', 'success'])
          else expect(found.length).toBeLessThan(3)
        }
        expect(entries.filter(({ action }) => action === entry.action)).toHaveLength(EMIT_BUFFER)
        const gaps = entries.filter(({ action }) => action === 'audit.gap')
        expect(gaps.map(({ data }) => [data['count'], data['reasons']])).toEqual([
          [EMITTED - EMIT_BUFFER, ['EMIT_OVERLOAD']],
        ])
        expect(await one.audit.verify()).toMatchObject({ ok: true, coverage: { gaps: 1, lost: EMITTED - EMIT_BUFFER } })
        expect((await one.audit.inspect()).spool.entries).toBe(0)
      }
    } finally {
      thaw()
    }
  },
)
