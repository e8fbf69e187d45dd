import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { certificates } from '../../../../tools/certificates.ts'
import { startRsyslog } from '../../../../tools/servers/rsyslog.ts'
import { until } from '../../../../tools/servers/until.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, memoryStore, type Audit, type AuditStore } from '../../src/index.ts'
import { syslogSink } from '../../src/syslog/index.ts'

const key = generateKey('test.example/audit')
const PATIENCE_MS = 120_000
/** Entries between two events. */
const STEP = process.env['LONG'] === '1' ? 20_000 : 700

async function startServer(): ReturnType<typeof startRsyslog> {
  const server = await startRsyslog()
  onTestFinished(() => server.stop())
  return server
}

async function newFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('a real rsyslog over TLS has every sealed entry, as it was stored, though it and the sender were killed', async () => {
  const server = await startServer()
  const dir = await newFolder()
  const acked = new Set<string>()
  const env = { DIR: dir, KEY: key.signer, CA: server.ca, PORT: String(server.port) }
  const start = async (): Promise<Awaited<ReturnType<typeof startWorker>>> => {
    const worker = await startWorker<never, { acked: readonly string[] }>(
      new URL('./syslog-worker.ts', import.meta.url),
      env,
    )
    worker.onMessage((told) => told.acked.forEach((id) => acked.add(id)))
    return worker
  }
  const more = async (entries: number): Promise<void> => {
    const enough = acked.size + entries
    await until(`${entries} more are acknowledged`, PATIENCE_MS, async () => acked.size >= enough || undefined)
  }

  const arrives = async (): Promise<void> => {
    const { length } = await server.messages()
    await until('more arrives', PATIENCE_MS, async () => (await server.messages()).length > length || undefined)
  }

  let worker = await start()
  await more(STEP)
  await arrives()
  await server.kill()
  await more(STEP)
  await server.restart()
  await arrives()
  await more(STEP)
  await worker.kill()
  worker = await start()
  await more(STEP)
  await arrives()
  // SIGTERM, and a new one.
  await server.restart()
  await arrives()
  await more(STEP)
  await worker.kill()

  const store = fileStore({ dir, appendTimeout: '60s' })
  await using audit = createAudit({
    store,
    key: key.signer,
    sinks: [syslogSink({ host: '127.0.0.1', port: server.port, tls: { ca: server.ca }, flush: 0 })],
  })
  await audit.start()
  await audit.flush({ to: 'shipped', timeout: PATIENCE_MS })
  const { size, ok } = await audit.verify()
  expect(ok).toBe(true)
  const sealed = await store.read('main', 0, { entries: size, bytes: 1e12 })
  const firstOf = new Map<string, Awaited<ReturnType<typeof server.messages>>[number]>()
  const messages = await server.messages()
  for (const message of messages) {
    const { id } = message.data['keelson@32473']!
    if (!firstOf.has(id!)) firstOf.set(id!, message)
    // A copy is the same.
    else if (Buffer.compare(firstOf.get(id!)!.msg, message.msg) !== 0) expect.fail(`${id} came twice, differently`)
  }
  // All of them, and for the first time in their order.
  expect([...firstOf.keys()]).toEqual(sealed.map(({ leaf }) => leaf.id))
  expect([...acked].filter((id) => !firstOf.has(id))).toEqual([])
  for (const { leaf, bytes } of sealed) {
    const { data, msg } = firstOf.get(leaf.id)!
    if (Buffer.compare(msg, bytes!) !== 0) expect.fail(`${leaf.id} arrived with other bytes`)
    const { index, log, scope, action } = data['keelson@32473']!
    if (Number(index) !== leaf.index) expect.fail(`${leaf.id} arrived as ${index}`)
    expect([log, scope, action]).toEqual(['main', leaf.scope, leaf.action])
  }
  expect(size).toBeGreaterThan(5 * STEP)
})

function shippingTo(port: number, tls: ConnectionOptions, store: AuditStore): Audit {
  const sink = syslogSink({ host: '127.0.0.1', port, tls, flush: 0, settleAfter: 100 })
  return createAudit({ store, key: key.signer, sinks: [sink] })
}

test.each([
  [
    'of another authority',
    (): ConnectionOptions => ({ ca: certificates({ other: { names: 'DNS:other', days: 2 } }).ca }),
    /self-signed certificate|unable to/,
  ],
  ['for another name', (ca: string): ConnectionOptions => ({ ca, servername: 'siem.example' }), /does not match/],
  ['of nobody who is known', (): ConnectionOptions => ({}), /self-signed certificate|unable to/],
])('a certificate %s gets nothing: it is tried again, and all arrives when that is mended', async (_, tlsOf, why) => {
  const server = await startServer()
  const store = memoryStore()
  const entry = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_1' } }
  const first = shippingTo(server.port, tlsOf(server.ca), store)
  await first.start()
  for (let n = 0; n < 3; n++) await first.record({ ...entry, data: { n } })
  await until('it was tried', PATIENCE_MS, async () => {
    const { lastError, cursor } = first.sink('syslog').status()
    return (lastError ?? cursor) || undefined
  })
  expect(first.sink('syslog').status()).toMatchObject({ cursor: 0, dead: 0, lastError: expect.stringMatching(why) })
  await expect(first.flush({ to: 'shipped', timeout: 500 })).rejects.toMatchObject({ code: 'FLUSH_TIMEOUT' })
  expect(await server.messages()).toEqual([])
  await first.stop({ drain: 0 })

  const second = shippingTo(server.port, { ca: server.ca }, store)
  await second.start()
  await second.flush({ to: 'shipped', timeout: PATIENCE_MS })
  await until('all are there', PATIENCE_MS, async () => (await server.messages()).length === 3 || undefined)
  await second.close()
})
