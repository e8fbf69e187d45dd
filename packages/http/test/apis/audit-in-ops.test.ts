import { expect, test } from 'vitest'
import { createHttp, type FetchHandler } from '@keelson/http'
import { opsApi } from '@keelson/http/apis'
import { checks, createHealth } from '@keelson/resilience/health'
import { createAudit, memoryStore } from '../audit.ts'
import { exchange } from '../support.ts'
import { call } from './call.ts'

test('an audit log is seen by operators: how it takes entries, and what it knows of a request', async () => {
  const store = memoryStore()
  let isAway = false
  const audit = createAudit({
    store: {
      ...store,
      append: async (...given) => {
        if (isAway) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
        return store.append(...given)
      },
    },
    storeTimeout: '10s',
  })
  const http = createHttp({ audit, scope: () => 'acme' })
  /** Of now: a health remembers for a while what it has found. */
  function ops(): FetchHandler {
    const health = createHealth({ timeout: '30s' })
    health.add('audit', checks.component(audit))
    health.started()
    // What reads the log is loaded when it is first asked.
    return opsApi({ http, components: [audit], health, authorize: 'public', timeout: '30s' })
  }
  const route = http.compile({ audited: { action: 'order.create' } })

  async function ask(id: string): Promise<void> {
    const x = exchange({ headers: [['x-correlation-id', id]] })
    http.begin(x)
    await route.early(x)
    await route.late(x)
    await x.answered({ kind: 'whole', response: { status: 201, headers: [], body: Buffer.from('') }, before: [] })
    x.end(201)
  }
  const state = async (): Promise<unknown[]> => {
    const { state, components, health: ready } = (await call(ops(), '/status')).body
    const { store } = components.find(({ name }: { name: string }) => name === 'audit')
    return [state, store.available, ready.status]
  }

  await ask('order-0017')
  await audit.flush()
  expect(await state()).toEqual(['ok', true, 'ok'])
  const { rows } = (await call(ops(), '/explain/order-0017')).body
  expect(rows).toMatchObject([{ kind: 'audit.entry', text: expect.stringContaining('order.create success') }])

  isAway = true
  await ask('order-0018')
  expect(await state()).toEqual(['down', false, 'degraded'])
  const { text } = await call(ops(), '/metrics')
  expect(text).toContain('keelson_http_not_audited_total{why="store-unavailable"} 1')
  expect(text).toContain('keelson_audit_recorded_total{durability="memory"} 1')
  expect(text).toContain('keelson_health_check_up{check="audit",critical="false"} 0')
  await audit.close()
})
