import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { afterAll, expect, inject, test } from 'vitest'
import { startElasticsearch } from '../../../packages/audit/test/sinks/fake-elasticsearch.ts'
import { until } from '../../../tools/servers/until.ts'
import { runCommand, startNodeProcess, type NodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
afterAll(() => rm(folder, { recursive: true }))

/** Other tests book on the same database, for the same merchants. */
const onServer = () => ({
  ...shared,
  DATABASE_URL: inject('databaseUrl'),
  BOOKINGS_PER_MINUTE: 1_000_000,
})

let keys = 0
async function book({ ready }: NodeProcess, merchant: string): Promise<number> {
  const response = await fetch(`${ready.url}/shipments`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${merchant}`,
      'content-type': 'application/json',
      'idempotency-key': `audit-${process.pid}-${keys++}`,
    },
    body: JSON.stringify({ to: 'Oslo', kg: 1 }),
  })
  await response.arrayBuffer()
  return response.status
}

test('audit:verify names the entry that was changed in the database', async () => {
  const env = { ...shared, DATA_DIR: join(folder, 'data'), AUDIT_FILE: join(folder, 'of-data.jsonl') }
  const node = await startNodeProcess(env)
  for (let i = 0; i < 3; i++) expect(await book(node, 'm1')).toBe(201)
  expect(await node.end('SIGTERM')).toEqual([0, null])
  const good = await runCommand(env, ['audit:verify'])
  expect(good).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(good.stdout)).toMatchObject({ ok: true, integrity: 'ok', completeness: 'unwitnessed' })

  const db = await PGlite.create(env.DATA_DIR)
  await db.exec('alter table keelson.audit_entry disable trigger all')
  await db.query(`update keelson.audit_entry set body = convert_to(replace(convert_from(body, 'UTF8'), 'm1', 'm2'), 'UTF8')
where id = (select id from keelson.audit_leaf where idx = 1)`)
  await db.close()
  const bad = await runCommand(env, ['audit:verify'])
  expect(bad.code).toBe(1)
  expect(bad.stderr).toContain('ENTRY_ALTERED 1')
})

test('without ELASTICSEARCH_URL entries are lines of a file, each once: Elasticsearch is no sink', async () => {
  const env = { ...onServer(), AUDIT_LOG: `file-${process.pid}` }
  const node = await startNodeProcess(env)
  expect(await book(node, 'm1')).toBe(201)
  expect(await sinksOf(node)).toEqual(['jsonl'])
  await node.end('SIGTERM')
  const lines = (await readFile(env.AUDIT_FILE, 'utf8')).trim().split('\n')
  const bookings = lines.filter((line) => line.includes('"action":"shipment.create"'))
  expect(bookings.map((line) => JSON.parse(line) as object)).toMatchObject([
    { user: { id: 'm1' }, event: { outcome: 'success' }, audit: { actor_type: 'merchant' } },
  ])
  expect(bookings[0]).not.toContain('Oslo')
})

test('with ELASTICSEARCH_URL they go there', async () => {
  await using elasticsearch = await startElasticsearch()
  const node = await startNodeProcess({
    ...onServer(),
    AUDIT_LOG: `elastic-${process.pid}`,
    ELASTICSEARCH_URL: elasticsearch.url,
  })
  expect(await book(node, 'm1')).toBe(201)
  expect(await sinksOf(node)).toEqual(['elasticsearch'])
  const arrived = async (): Promise<true | undefined> =>
    [...elasticsearch.documents.values()].some((text) => text.includes('shipment.create')) || undefined
  await until('the booking is there', 60_000, arrived)
  expect(await node.end('SIGTERM')).toEqual([0, null])
})

async function sinksOf({ ready }: NodeProcess): Promise<string[]> {
  const response = await fetch(`${ready.url}/ops/status`, { headers: { authorization: 'Bearer ops' } })
  const { components } = (await response.json()) as { components: { name: string; sinks?: object }[] }
  return Object.keys(components.find(({ name }) => name === 'audit')!.sinks!)
}
