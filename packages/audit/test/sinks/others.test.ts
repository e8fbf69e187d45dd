import { text } from 'node:stream/consumers'
import { mkdtemp, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Webhook } from 'standardwebhooks'
import { silentLogger, systemClock } from '@keelson/kernel'
import { createAudit, generateKey, memoryStore, type Audit, type AuditStore, type Sink } from '../../src/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'
import { otlpSink } from '../../src/otlp/index.ts'
import { splunkSink } from '../../src/splunk/index.ts'
import { syslogSink } from '../../src/syslog/index.ts'
import { webhookSink } from '../../src/webhook/index.ts'

const key = generateKey('test.example/audit')
/** A batch goes when somebody flushes, with all there is: however slowly that was recorded. */
const WHOLE = { flush: '1m' } as const
const entry = { scope: 'acme "]', action: 'user.update', actor: { type: 'user', id: 'u_17' }, at: 1_767_225_600_000 }

async function shipping(sink: Sink, store: AuditStore = memoryStore()): Promise<Audit> {
  const audit = createAudit({ store, key: key.signer, sinks: [sink] })
  await audit.start()
  return audit
}

async function record(audit: Audit, entries: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < entries; i++) ids.push((await audit.record({ ...entry, data: { i } })).id)
  return ids
}

interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A server that gives these answers, and then the last one again. */
async function receiver(...answers: { status: number; body?: object }[]) {
  const received: Received[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const body = await text(request)
      received.push({ path: request.url!, headers: request.headers, body })
      const { status, body: said } = answers.length > 1 ? answers.shift()! : answers[0]!
      response.writeHead(status).end(said === undefined ? '' : JSON.stringify(said))
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('Splunk', () => {
  test('gets events with their time, under its token', async () => {
    await using server = await receiver({ status: 200, body: { text: 'Success', code: 0 } })
    await using audit = await shipping(splunkSink({ url: server.url, token: 't-1', index: 'main' }))
    const [id] = await record(audit, 1)
    await audit.flush({ to: 'shipped' })
    const [{ path, headers, body }] = server.received as [Received]
    expect([path, headers.authorization]).toEqual(['/services/collector/event', 'Splunk t-1'])
    expect(JSON.parse(body)).toMatchObject({
      time: 1_767_225_600,
      index: 'main',
      event: { event: { id }, seal: { index: 0 } },
    })
  })

  test('an event that it calls invalid is a dead letter, the others go again', async () => {
    await using server = await receiver(
      { status: 400, body: { text: 'Invalid data format', code: 6, 'invalid-event-number': 1 } },
      { status: 200, body: { text: 'Success', code: 0 } },
    )
    await using audit = await shipping(splunkSink({ url: server.url, token: 't-1', ...WHOLE }))
    const ids = await record(audit, 3)
    await audit.flush({ to: 'shipped' })
    expect((await audit.deadLetters.list()).items.map(({ id }) => id)).toEqual([ids[1]])
    expect(server.received.at(-1)!.body).toContain(ids[2])
  })

  test('a wrong token halts', async () => {
    await using server = await receiver({ status: 403, body: { text: 'Invalid token', code: 4 } })
    await using audit = await shipping(splunkSink({ url: server.url, token: 't-1' }))
    await record(audit, 1)
    await expect.poll(() => audit.sink('splunk').status().state, { timeout: 60_000 }).toBe('halted')
  })
})

describe('OTLP', () => {
  test('gets records whose body is what was hashed', async () => {
    await using server = await receiver({ status: 200, body: {} })
    await using audit = await shipping(otlpSink({ url: server.url, headers: { 'x-key': 'k' } }))
    const [id] = await record(audit, 1)
    await audit.flush({ to: 'shipped' })
    const [{ path, headers, body }] = server.received as [Received]
    expect([path, headers['x-key']]).toEqual(['/v1/logs', 'k'])
    const [record0] = JSON.parse(body).resourceLogs[0].scopeLogs[0].logRecords
    expect(record0.timeUnixNano).toBe('1767225600000000000')
    expect(record0.body.stringValue).toBe(Buffer.from((await audit.get(id!))!.bytes).toString())
    expect(record0.attributes).toContainEqual({ key: 'event.id', value: { stringValue: id } })
  })

  test('a partial success is a dead letter for the batch, with the count', async () => {
    const body = { partialSuccess: { rejectedLogRecords: '1', errorMessage: 'too old' } }
    await using server = await receiver({ status: 200, body })
    await using audit = await shipping(otlpSink({ url: server.url, ...WHOLE }))
    await record(audit, 2)
    await audit.flush({ to: 'shipped' })
    const { items } = await audit.deadLetters.list()
    expect(items.map(({ reason }) => reason)).toEqual(Array(2).fill('1 of 2 records rejected: too old'))
  })
})

test('a webhook is signed so that npm standardwebhooks accepts it', async () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  await using server = await receiver({ status: 503 }, { status: 204 })
  await using audit = await shipping(webhookSink({ url: `${server.url}/hook`, secret, ...WHOLE }))
  const ids = await record(audit, 3)
  await audit.flush({ to: 'shipped' })
  const { headers, body } = server.received.at(-1)!
  const payload = new Webhook(secret).verify(body, headers as Record<string, string>) as {
    log: string
    entries: { event: { id: string } }[]
  }
  expect(headers['webhook-id']).toBe('main:0-2')
  expect([payload.log, payload.entries.map(({ event }) => event.id)]).toEqual(['main', ids])
})

describe('JSONL', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  })
  afterEach(async () => rm(dir, { recursive: true }))

  async function idsIn(...names: string[]): Promise<string[]> {
    const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))
    const lines = texts.flatMap((lines) => lines.split('\n').filter((line) => line !== ''))
    return lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id)
  }

  test('what is beyond the cursor is cut off at the start: each entry is there once', async () => {
    const store = memoryStore()
    const path = join(dir, 'audit.jsonl')
    const first = await shipping(jsonlSink({ path }), store)
    const ids = await record(first, 3)
    await first.flush({ to: 'shipped' })
    await first.stop()
    await writeFile(path, 'half a li', { flag: 'a' })

    await using second = await shipping(jsonlSink({ path }), store)
    ids.push(...(await record(second, 2)))
    await second.flush({ to: 'shipped' })
    expect(await idsIn('audit.jsonl')).toEqual(ids)
  })

  test('a file that was taken away begins anew, and one that was emptied goes on behind', async () => {
    const store = memoryStore()
    const path = join(dir, 'audit.jsonl')
    const first = await shipping(jsonlSink({ path }), store)
    await record(first, 3)
    await first.flush({ to: 'shipped' })
    await first.stop()
    await truncate(path, 0)
    await using second = await shipping(jsonlSink({ path }), store)
    const more = await record(second, 1)
    await second.flush({ to: 'shipped' })
    expect(await idsIn('audit.jsonl')).toEqual(more)
  })

  test('a write that takes longer than its time is not written again', async () => {
    const path = join(dir, 'audit.jsonl')
    const sink = jsonlSink({ path })
    await sink.open!(null, { clock: systemClock, logger: silentLogger })
    const bytes = Buffer.from(JSON.stringify({ event: { id: 'a' } }))
    const one = { index: 0, id: 'a', scope: 'acme', action: 'a.a', atMs: 0, bytes, leaf: Buffer.alloc(32) }
    const [first, again] = [1, 2].map(() => sink.deliver({ log: 'main', entries: [one] }, AbortSignal.timeout(1)))
    expect([await first, await again]).toEqual([['ok'], ['duplicate']])
    expect(await idsIn('audit.jsonl')).toEqual(['a'])
    await sink.close!()
  })

  test('files are put aside when they are big, and nothing is lost between them', async () => {
    const store = memoryStore()
    await using audit = await shipping(
      jsonlSink({ path: join(dir, 'audit.jsonl'), rotateBytes: 2_048, maxBatchEntries: 2 }),
      store,
    )
    const ids = await record(audit, 12)
    await audit.flush({ to: 'shipped' })
    const names = await readdir(dir)
    expect(names.length).toBeGreaterThan(2)
    const order = names.toSorted((a, b) => Number(a.split('.')[2] ?? Infinity) - Number(b.split('.')[2] ?? Infinity))
    expect(await idsIn(...order)).toEqual(ids)
  })

  test('a file that somebody else has put aside is followed by a new one', async () => {
    const store = memoryStore()
    await using audit = await shipping(
      jsonlSink({ path: join(dir, 'audit.jsonl'), rotateBytes: 2_048, maxBatchEntries: 2 }),
      store,
    )
    const before = await record(audit, 2)
    await audit.flush({ to: 'shipped' })
    await rename(join(dir, 'audit.jsonl'), join(dir, 'aside'))
    const ids = await record(audit, 4)
    await audit.flush({ to: 'shipped', timeout: '60s' })
    const names = (await readdir(dir)).toSorted()
    const lines = (await idsIn(...names)).filter((id) => !before.includes(id))
    expect(lines.toSorted()).toEqual(ids)
  })
})

describe('syslog', () => {
  async function collector() {
    const sockets: Socket[] = []
    let said = ''
    const server = createTcp((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.on('data', (data: Buffer) => (said += data.toString()))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      port: (server.address() as AddressInfo).port,
      sockets,
      messages(): string[] {
        const all: string[] = []
        for (let rest = Buffer.from(said); rest.length > 0;) {
          const space = rest.indexOf(' ')
          const end = space + 1 + Number(rest.subarray(0, space).toString())
          all.push(rest.subarray(space + 1, end).toString())
          rest = rest.subarray(end)
        }
        return all
      },
      async [Symbol.asyncDispose]() {
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  test('messages are framed by octets, as RFC 5424 writes them', async () => {
    await using server = await collector()
    const sink = syslogSink({ host: '127.0.0.1', port: server.port, tls: false, settleAfter: 100 })
    await using audit = await shipping(sink)
    const [id] = await record(audit, 2)
    await audit.flush({ to: 'shipped' })
    const [first] = server.messages()
    const kept = await audit.get(id!)
    expect(first).toMatch(/^<110>1 2026-01-01T00:00:00\.000Z \S+ keelson \d+ audit \[keelson@32473 id="/)
    expect(first).toContain(
      `id="${id}" log="main" index="0" leaf="${kept!.leaf}" scope="acme \\"\\]" action="user.update"] `,
    )
    expect(first!.endsWith(`] ${Buffer.from(kept!.bytes).toString()}`)).toBe(true)
  })

  test('what was sent shortly before a connection broke goes again: copies, and never a loss', async () => {
    await using server = await collector()
    const sink = syslogSink({ host: '127.0.0.1', port: server.port, tls: false, settleAfter: 60_000 })
    await using audit = await shipping(sink)
    const ids = await record(audit, 3)
    await expect.poll(() => server.messages().length, { timeout: 60_000 }).toBe(3)
    expect((await audit.inspect()).sinks['syslog']!.cursor).toBe(0)
    server.sockets[0]!.destroy()
    await expect.poll(() => server.messages().length, { timeout: 60_000 }).toBe(6)
    const seen = server.messages().map((message) => / id="([^"]+)"/.exec(message)![1])
    expect(seen).toEqual([...ids, ...ids])
  })
})
