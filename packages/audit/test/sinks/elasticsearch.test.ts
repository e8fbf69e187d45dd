import { describe, expect, test } from 'vitest'
import { elasticsearchSink } from '../../src/elasticsearch/index.ts'
import { createAudit, generateKey, memoryStore, type Audit, type Sink } from '../../src/index.ts'
import { startElasticsearch } from './fake-elasticsearch.ts'

const key = generateKey('test.example/audit')
/** A batch goes when somebody flushes, with all there is: however slowly that was recorded. */
const WHOLE = { flush: '1m' } as const
const entry = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' }, at: 1_767_225_600_000 }

async function shipping(sink: Sink): Promise<Audit> {
  const audit = createAudit({ store: memoryStore(), key: key.signer, sinks: [sink] })
  await audit.start()
  return audit
}

async function record(audit: Audit, entries: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < entries; i++) ids.push((await audit.record({ ...entry, data: { i } })).id)
  return ids
}

describe('what is sent', () => {
  test('is the document as it was hashed and its seal, under its id, in the index of its month', async () => {
    await using server = await startElasticsearch()
    await using audit = await shipping(elasticsearchSink({ url: server.url }))
    const [id] = await record(audit, 1)
    await audit.flush({ to: 'shipped' })
    const [[place, document]] = [...server.documents] as [[string, string]]
    expect(place).toBe(`keelson-audit-2026.01/${id}`)
    const { seal, ...rest } = JSON.parse(document) as { seal: object }
    const kept = await audit.get(id!)
    expect(rest).toEqual(JSON.parse(Buffer.from(kept!.bytes).toString()))
    expect(seal).toEqual({ log: 'main', index: 0, leaf: kept!.leaf })
  })

  test.each([
    [undefined, 'flattened'],
    ['opensearch', 'flat_object'],
  ])('has a template that no mixed types break (%s: %s)', async (distribution, flat) => {
    await using server = await startElasticsearch(distribution === undefined ? {} : { distribution })
    await using audit = await shipping(elasticsearchSink({ url: server.url }))
    await record(audit, 1)
    await audit.flush({ to: 'shipped' })
    const template = server.templates.get('keelson-audit')
    expect(template.index_patterns).toEqual(['keelson-audit-*'])
    const { changes, data, sealed } = template.template.mappings.properties.audit.properties
    expect([changes, data, sealed]).toEqual([{ type: flat }, { type: flat }, { type: flat }])
  })
})

describe('what is answered', () => {
  const faults = [
    ['a lost answer', [{ kind: 'lost' }]],
    ['429 with Retry-After', [{ kind: 'status', status: 429, headers: { 'retry-after': '0' } }]],
    [
      '503 twice',
      [
        { kind: 'status', status: 503 },
        { kind: 'status', status: 503 },
      ],
    ],
    ['200 that is no JSON', [{ kind: 'status', status: 200, body: '<html>' }]],
    ['200 with fewer items', [{ kind: 'short' }]],
    [
      'some items 429 and 503',
      [
        {
          kind: 'items',
          items: {
            1: { status: 429, type: 'es_rejected_execution_exception' },
            4: { status: 503, type: 'unavailable_shards_exception' },
          },
        },
      ],
    ],
    [
      '413',
      [
        { kind: 'status', status: 413 },
        { kind: 'status', status: 413 },
      ],
    ],
  ] as const
  test.each(faults)('%s: everything is there once, and nothing is a dead letter', async (_, given) => {
    await using server = await startElasticsearch()
    server.faults.push(...given)
    await using audit = await shipping(elasticsearchSink({ url: server.url, flush: 0 }))
    const ids = await record(audit, 10)
    await audit.flush({ to: 'shipped' })
    expect([...server.documents.keys()].map((place) => place.split('/')[1]).toSorted()).toEqual(ids.toSorted())
    expect((await audit.deadLetters.list()).items).toEqual([])
  })

  test('an item 400 is a dead letter after one try, and can be replayed', async () => {
    await using server = await startElasticsearch()
    await using audit = await shipping(elasticsearchSink({ url: server.url, ...WHOLE }))
    server.faults.push({ kind: 'items', items: { 1: { status: 400, type: 'document_parsing_exception' } } })
    const ids = await record(audit, 3)
    await audit.flush({ to: 'shipped' })
    const { items } = await audit.deadLetters.list()
    expect(items).toMatchObject([
      { sink: 'elasticsearch', id: ids[1], reason: expect.stringContaining('400 document_') },
    ])
    expect(await audit.deadLetters.replay({ sink: 'elasticsearch' })).toBe(1)
    await expect.poll(() => server.documents.size, { timeout: 60_000 }).toBe(3)
    await expect.poll(async () => (await audit.deadLetters.list()).items, { timeout: 60_000 }).toEqual([])
  })

  test.each([
    ['401', { kind: 'status', status: 401, body: 'security_exception' }],
    ['an index block', { kind: 'items', items: { 0: { status: 403, type: 'cluster_block_exception' } } }],
  ] as const)('%s halts, buries nothing, and goes on after resume()', async (_, fault) => {
    await using server = await startElasticsearch()
    server.faults.push(fault)
    await using audit = await shipping(elasticsearchSink({ url: server.url }))
    await record(audit, 2)
    await expect.poll(() => audit.sink('elasticsearch').status().state, { timeout: 60_000 }).toBe('halted')
    expect(await audit.inspect()).toMatchObject({ state: 'degraded' })
    audit.sink('elasticsearch').resume()
    await audit.flush({ to: 'shipped' })
    expect(server.documents.size).toBe(2)
    expect(await audit.inspect()).toMatchObject({
      state: 'ok',
      sinks: { elasticsearch: { state: 'running', cursor: 2 } },
    })
  })

  test('one that hangs is given up, and asked again', async () => {
    await using server = await startElasticsearch()
    server.faults.push({ kind: 'hang' })
    await using audit = await shipping(elasticsearchSink({ url: server.url, timeout: 200 }))
    await record(audit, 2)
    await audit.flush({ to: 'shipped' })
    expect(server.documents.size).toBe(2)
  })
})

test('while it is away nothing is lost, and no connection is made before there is an entry', async () => {
  const server = await startElasticsearch()
  const { url } = server
  await server[Symbol.asyncDispose]()
  await using audit = await shipping(elasticsearchSink({ url }))
  await record(audit, 5)
  await audit.flush()
  await expect(audit.flush({ to: 'shipped', timeout: 300 })).rejects.toMatchObject({ code: 'FLUSH_TIMEOUT' })
  await expect
    .poll(async () => (await audit.inspect()).sinks['elasticsearch'], { timeout: 60_000 })
    .toMatchObject({ cursor: 0, pending: 5, dead: 0 })
})
