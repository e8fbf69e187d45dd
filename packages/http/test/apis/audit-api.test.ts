import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCheckpoint, verifyProof } from '@keelson/audit/verify'
import { createHttp, type FetchHandler } from '@keelson/http'
import { auditApi, type AuditApiOptions } from '@keelson/http/apis'
import {
  AuditError,
  createAudit,
  generateKey,
  memoryStore,
  type Audit,
  type AuditErrorCode,
  type AuditOptions,
  type EntryInput,
} from '../audit.ts'
import { recordingLogger } from '../support.ts'
import { call, type Answer } from './call.ts'

const TENANT = 'x-tenant'
const { signer, verifier } = generateKey('api.example/test')
const actor = { type: 'user', id: 'u_17' }
let audit: Audit
let logger: ReturnType<typeof recordingLogger>

const open = (more: Partial<AuditOptions> = {}): Audit =>
  createAudit({ store: memoryStore(), key: signer, storeTimeout: '10s', ...more })
beforeEach(() => {
  audit = open()
  logger = recordingLogger()
})
afterEach(() => audit.close())

function apiWith(more: Partial<AuditApiOptions> = {}): FetchHandler {
  return auditApi({
    http: createHttp({ logger }),
    audit,
    scope: (request) => request.headers.get(TENANT) ?? 'acme',
    authorize: () => ({ id: 'auditor' }),
    ...more,
  })
}

const ask = (path: string, tenant = 'acme', method = 'GET', api = apiWith()): Promise<Answer> =>
  call(api, path, { method, headers: { [TENANT]: tenant } })
const refused = ({ status, body }: Answer): unknown[] => [status, body.code]
const record = async (more: Partial<EntryInput> = {}): Promise<string> =>
  (await audit.record({ scope: 'acme', action: 'order.create', actor, ...more })).id
const actions = ({ body }: Answer): string[] => body.items.map(({ action }: { action: string }) => action)

describe('entries', () => {
  test('are listed, the newest first, by pages, and one by one with what was hashed', async () => {
    for (let i = 0; i < 5; i++) await record({ action: `order.step${i}`, data: { i } })
    await audit.flush()
    const seen: string[] = []
    let next: string | null = ''
    while (next !== null) {
      const page: Answer = await ask(`/entries?limit=2${next === '' ? '' : `&after=${next}`}`)
      expect(page.headers.get('cache-control')).toBe('no-store')
      seen.push(...actions(page))
      next = page.body.next
    }
    expect(seen).toEqual([4, 3, 2, 1, 0].map((i) => `order.step${i}`))
    const [entry] = (await ask('/entries?order=asc')).body.items
    expect(entry).toMatchObject({ scope: 'acme', index: 0, actor, outcome: 'success', data: { i: 0 } })
    expect(entry).not.toHaveProperty('bytes')
    const { bytes, ...one } = (await ask(`/entries/${entry.id}`)).body
    expect(one).toEqual(entry)
    expect(JSON.parse(Buffer.from(bytes, 'base64').toString())).toMatchObject({ event: { id: entry.id } })
  })

  test('are found by who, what, when and how it ended', async () => {
    const target = { type: 'order', id: 'o:1' }
    await record({ action: 'order.create', target, at: new Date('2026-01-01T12:00:00Z') })
    await record({ action: 'order.delete', target, outcome: 'failure', at: new Date('2026-02-01T12:00:00Z') })
    await record({ action: 'user.login', actor: { type: 'service', id: 'sso' } })
    await audit.flush()
    const found: Record<string, string[]> = {
      'actor=user:u_17': ['order.delete', 'order.create'],
      'actor=service': ['user.login'],
      'action=order.*': ['order.delete', 'order.create'],
      'action=user.login': ['user.login'],
      'target=order:o:1&order=asc': ['order.create', 'order.delete'],
      'target=order:o': [],
      'outcome=failure': ['order.delete'],
      'from=2026-01-15&to=2026-02-15T00:00:00Z': ['order.delete'],
    }
    for (const [query, expected] of Object.entries(found)) {
      expect(actions(await ask(`/entries?${query}`)), query).toEqual(expected)
    }
  })

  test('of another scope are nowhere', async () => {
    const id = await record({ scope: 'other' })
    await record()
    await audit.flush()
    expect((await ask('/entries')).body.items).toHaveLength(1)
    expect(refused(await ask(`/entries/${id}`))).toEqual([404, 'not-found'])
    expect(refused(await ask(`/entries/${id}/proof`))).toEqual([404, 'not-found'])
    expect((await ask('/export')).text).not.toContain(id)
    expect((await ask(`/entries/${id}`, 'other')).status).toBe(200)
    expect((await ask(`/entries/${id}`, '*')).status).toBe(200)
    expect((await ask('/entries', '*')).body.items).toHaveLength(2)
  })

  test.each([
    'limit=0',
    'limit=1001',
    'limit=many',
    'actor=:',
    'actor=user:',
    'from=yesterday',
    'outcome=maybe',
    'order=up',
    'action=a b',
    'after=forged',
    'scope=other',
    'subject=u_9',
    'order=asc&order=desc',
  ])('are not asked for by %s', async (query) => {
    expect(refused(await ask(`/entries?${query}`))).toEqual([400, 'input-invalid'])
    expect(logger.errors).toEqual([])
  })

  test('that are none', async () => {
    await record()
    await audit.flush()
    expect(refused(await ask('/entries/7'))).toEqual([400, 'input-invalid'])
    expect(refused(await ask('/entries/018bcfe5-6800-7000-8000-000000000000'))).toEqual([404, 'not-found'])
    expect(refused(await ask('/entries/018bcfe5-6800-7000-8000-000000000000/proof'))).toEqual([404, 'not-found'])
  })
})

describe('proofs', () => {
  test('hold with the bytes of the entry, and outside of this process', async () => {
    const id = await record()
    await record({ scope: 'other' })
    await audit.flush()
    const proof = await ask(`/entries/${id}/proof`)
    expect(proof.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const { bytes } = (await ask(`/entries/${id}`)).body
    verifyProof(proof.text, Buffer.from(bytes, 'base64'), [verifier])
    const checkpoint = await ask('/checkpoint')
    expect(openCheckpoint(checkpoint.text, [verifier]).size).toBe(2)
  })

  test('of what is not sealed yet are to be asked for again', async () => {
    expect(refused(await ask('/checkpoint'))).toEqual([503, 'not-sealed'])
    const id = await record()
    const answer = await ask(`/entries/${id}/proof`)
    expect([...refused(answer), answer.headers.get('retry-after')]).toEqual([503, 'not-sealed', '1'])
  })
})

describe('an export', () => {
  test('is lines of what was hashed, as a stream', async () => {
    for (let i = 0; i < 1_200; i++) audit.emit({ scope: 'acme', action: 'order.create', actor, data: { i } })
    await record({ action: 'order.delete' })
    await audit.flush()
    const { headers, text } = await ask('/export?action=order.create&order=asc')
    expect(headers.get('content-type')).toBe('application/jsonl')
    const lines = text.trimEnd().split('\n')
    expect(lines).toHaveLength(1_200)
    expect(lines.map((line) => JSON.parse(line).audit.data.i)).toEqual([...Array(1_200).keys()])
  })

  test('of nothing is empty, one that is wrong a problem', async () => {
    expect(await ask('/export?action=none')).toMatchObject({ status: 200, text: '' })
    expect(refused(await ask('/export?limit=5'))).toEqual([400, 'input-invalid'])
    expect(refused(await ask('/export?outcome=maybe'))).toEqual([400, 'input-invalid'])
  })

  test('ends with its reader', async () => {
    let isOver = false
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) yield `${'x'.repeat(10_000)}\n`
      } finally {
        isOver = true
      }
    }
    const api = apiWith({ audit: { ...audit, export: endless } })
    const response = await api(new Request('http://localhost/export'))
    const reader = response.body!.getReader()
    await reader.read()
    await reader.cancel()
    expect(isOver).toBe(true)
  })
})

describe('the static tree', () => {
  test('is there by its paths: full tiles for ever, bundles for who may see all scopes', async () => {
    for (let i = 0; i < 300; i++) audit.emit({ scope: 'acme', action: 'order.create', actor, data: { i } })
    await audit.flush()
    const full = await apiWith()(new Request('http://localhost/tile/0/000'))
    expect(full.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
    expect(full.headers.get('content-type')).toBe('application/octet-stream')
    const bytes = Buffer.from(await full.arrayBuffer())
    expect(bytes.equals(Buffer.from((await audit.tile('tile/0/000'))!))).toBe(true)
    expect(bytes).toHaveLength(256 * 32)
    const partial = await ask('/tile/0/001.p/44')
    expect([partial.status, partial.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const open = await apiWith({ authorize: 'public' })(new Request('http://localhost/tile/0/000'))
    expect(open.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')

    expect((await ask('/tile/entries/000', '*')).status).toBe(200)
    for (const path of ['/tile/entries/000', '/tile/entries%2F000', '/tile/entries/001.p/44']) {
      expect(refused(await ask(path))).toEqual([404, 'not-found'])
    }
    for (const path of ['/tile', '/tile/', '/tile/0/002', '/tile/0/x000/000', '/tile/0/..%2F..', '/tile/a/b']) {
      expect(refused(await ask(path, '*')), path).toEqual([404, 'not-found'])
    }
  })
})

describe('whoever reads', () => {
  test('must be somebody, of a scope', async () => {
    const nobody = apiWith({ authorize: () => undefined })
    for (const path of ['/entries', '/checkpoint', '/tile/0/000', '/none']) {
      expect(refused(await ask(path, 'acme', 'GET', nobody))).toEqual([401, 'unauthorized'])
    }
    const nowhere = apiWith({ scope: () => undefined })
    for (const path of ['/entries', '/export', '/tile/0/000', `/entries/018bcfe5-6800-7000-8000-000000000000`]) {
      expect(refused(await ask(path, 'acme', 'GET', nowhere))).toEqual([500, 'scope-invalid'])
    }
  })

  test('is told as auditReads says', async () => {
    const log = open({ auditReads: 'all' })
    const api = apiWith({ audit: log })
    await log.record({ scope: 'acme', action: 'order.create', actor })
    await log.flush()
    await ask('/entries?action=order.*', 'acme', 'GET', api)
    await ask('/export', 'acme', 'GET', api)
    await log.flush()
    const { entries } = await log.query({ scope: 'acme', order: 'asc', action: 'audit.*' })
    expect(entries.map(({ action, actor }) => [action, actor.id])).toEqual([
      ['audit.log.read', 'auditor'],
      ['audit.log.exported', 'auditor'],
    ])
    await log.close()
  })

  test('asks by GET and HEAD alone', async () => {
    await record()
    await audit.flush()
    for (const path of ['/entries', '/entries/x', '/export', '/checkpoint', '/tile/0/000']) {
      const answer = await ask(path, 'acme', 'POST')
      expect([...refused(answer), answer.headers.get('allow')]).toEqual([405, 'method-not-allowed', 'GET, HEAD'])
    }
    const head = await ask('/entries', 'acme', 'HEAD')
    expect([head.status, head.text, Number(head.headers.get('content-length')) > 0]).toEqual([200, '', true])
    expect(refused(await ask('/none'))).toEqual([404, 'not-found'])
  })

  test.each<[AuditErrorCode, number]>([
    ['HELD', 409],
    ['STORE_UNAVAILABLE', 503],
    ['NOT_SEALED', 503],
    ['CLOSED', 503],
    ['STORE_CORRUPT', 500],
    ['ENTRY_INVALID', 400],
    ['ENTRY_TOO_LARGE', 413],
  ])('%s is %d', async (code, status) => {
    const query = async (): Promise<never> => Promise.reject(new AuditError(code, 'because'))
    const api = apiWith({ audit: { ...audit, query } })
    expect(refused(await ask('/entries', 'acme', 'GET', api))).toEqual([
      status,
      code.toLowerCase().replaceAll('_', '-'),
    ])
    expect(logger.errors).toHaveLength(status >= 500 ? 1 : 0)
  })
})

test('what was pruned is gone for its owner, and was never there for others', async () => {
  const log = open({ retention: { keep: '1d' } })
  const id = '01941f29-7c00-7000-8000-000000000001' // of 2025
  await log.record({ scope: 'acme', action: 'order.create', actor, id })
  await log.record({ scope: 'acme', action: 'order.create', actor })
  await log.flush()
  await log.applyRetention()
  await expect(log.get(id)).rejects.toMatchObject({ code: 'PRUNED' })
  const api = apiWith({ audit: log })
  expect(refused(await ask(`/entries/${id}`, 'acme', 'GET', api))).toEqual([410, 'pruned'])
  expect(refused(await ask(`/entries/${id}`, '*', 'GET', api))).toEqual([410, 'pruned'])
  expect(refused(await ask(`/entries/${id}`, 'other', 'GET', api))).toEqual([404, 'not-found'])
  expect((await ask(`/entries/${id}/proof`, 'acme', 'GET', api)).status).toBe(200)
  expect(refused(await ask(`/entries/${id}/proof`, 'other', 'GET', api))).toEqual([404, 'not-found'])
  await log.close()
})

test.each<[string, Partial<AuditApiOptions>, RegExp]>([
  ['no log', { audit: {} as never }, /"audit" must be an object with get\(\)/],
  ['no authorize', { authorize: undefined as never }, /"authorize" is required/],
  ['a scope', { scope: '' }, /"scope" must be a scope of 1 to 128 bytes/],
  ['an option', { redact: true } as never, /unknown option "redact"/],
])('%s is refused when it is made', (_, more, message) => {
  expect(() => apiWith(more)).toThrow(message)
})
