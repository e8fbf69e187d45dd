import type { FetchHandler } from '@keelson/http'
import { createSync, memoryStore, type Op, type SyncOptions } from '@keelson/sync'
import { call, type Answer } from './call.ts'

interface Task {
  readonly team: string
  readonly title: string
}

/** Tasks of teams; everybody sees team 1 of their tenant, and what is theirs. */
export function openSync(o: Partial<Omit<SyncOptions, 'collections'>> = {}) {
  return createSync({
    store: memoryStore(),
    storeTimeout: '30s',
    scopes: ({ principal, scope = '' }) => [scope, `${scope}/user:${principal.id}`, `${scope}/team:1`],
    collections: {
      task: { fields: { team: 'lww', title: 'lww' }, scope: ({ team }: Task) => `acme/team:${team}` },
      note: { fields: { text: 'lww' }, scope: () => 'acme' },
    },
    ...o,
  })
}

let made = 0

/** An operation of now. */
export function op(id: string, t: Op['t'] = 'put', more: Partial<Op> = {}): Op {
  const h = `${Date.now().toString(36).padStart(9, '0')}-${(++made).toString(36).padStart(4, '0')}-d1`
  const set = t === 'put' ? { set: { team: '1', title: 'Call' } } : {}
  return { op: `op-${made}`, c: 'task', id, t, h, ...set, ...more }
}

/** Asks as somebody: a POST with a body, else a GET. */
export function askAs(api: FetchHandler) {
  return (who: string, path: string, body?: unknown, init: RequestInit = {}): Promise<Answer> =>
    call(api, path, {
      ...(body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...init,
      headers: { Authorization: `Bearer ${who}`, 'Content-Type': 'application/json', ...init.headers },
    })
}
