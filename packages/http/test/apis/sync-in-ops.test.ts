import { expect, test } from 'vitest'
import { createHttp, type FetchHandler } from '@keelson/http'
import { opsApi, syncApi } from '@keelson/http/apis'
import { context } from '@keelson/kernel'
import { memoryStore } from '@keelson/sync'
import { checks, createHealth } from '@keelson/resilience/health'
import { call } from './call.ts'
import { askAs, op, openSync } from './sync-at-work.ts'

test('sync is seen by operators: what it holds, how it is, and what it knows of a request', async () => {
  const store = memoryStore()
  let isAway = false
  const away = () => Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }))
  await using sync = openSync({
    store: {
      ...store,
      pull: (q) => (isAway ? away() : store.pull(q)),
      health: () => (isAway ? away() : store.health()),
    },
  })
  const http = createHttp()
  /** Of now: a health remembers for a while what it has found. */
  function ops(): FetchHandler {
    const health = createHealth({ timeout: '30s' })
    health.add('sync', checks.component(sync))
    health.started()
    return opsApi({ http, components: [sync], health, authorize: 'public', timeout: '30s' })
  }
  const ask = askAs(syncApi({ http, sync, scope: 'acme', authorize: () => ({ id: 'ann' }) }))
  const state = async (): Promise<unknown[]> => {
    const { state, components, health } = (await call(ops(), '/status')).body
    return [state, components.find(({ name }: { name: string }) => name === 'sync').counts, health.status]
  }

  const given = { v: 1, client: 'd1', ops: [op('t1'), op('t2', 'patch', { set: { title: 'gone' } })] }
  await context.run({ correlationId: 'push-0017' }, () => ask('ann', '/push', given))
  const counts = { records: 1, tombstones: 0, ops: 2, openConflicts: 1, waiters: 0 }
  expect(await state()).toEqual(['ok', counts, 'ok'])
  const { rows } = (await call(ops(), '/explain/push-0017')).body
  expect(rows).toMatchObject([
    { kind: 'sync.op', text: `operation ${given.ops[0]!.op} of d1: applied` },
    { kind: 'sync.op', text: `operation ${given.ops[1]!.op} of d1: conflict (gone)` },
  ])
  expect((await call(ops(), '/metrics')).text).toContain(
    'keelson_sync_ops_total{collection="task",status="applied"} 1\n',
  )

  isAway = true
  const refused = await ask('ann', '/pull', { v: 1, cursor: null })
  expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([
    503,
    'store-unavailable',
    '1',
  ])
  expect((await state())[0]).toBe('down')
})
