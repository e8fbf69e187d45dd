import type { EntryInput } from '@keelson/audit'

/** What is logged, by its number: about 700 bytes as a document. */
export function inputOf(n: number): EntryInput {
  return {
    scope: 'acme',
    action: 'user.role.update',
    actor: { type: 'user', id: 'u_17', name: 'Ann Lee', roles: ['admin', 'billing'] },
    target: { type: 'user', id: `u_${n}`, name: 'Bea Moss' },
    where: {
      ip: '203.0.113.7',
      userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36',
      requestId: `req_${n}`,
      method: 'PATCH',
      route: '/users/:id',
    },
    old: { name: 'Bea Moss', role: 'clerk', active: true },
    new: { name: 'Bea Moss', role: 'admin', active: true },
    data: { n },
  }
}

/** The same as peers log it: a document that is ready, without an id, a diff, redaction or checks. */
export function documentOf(n: number): object {
  return {
    '@timestamp': new Date().toISOString(),
    ecs: { version: '9.0.0' },
    event: { kind: 'event', action: 'user.role.update', outcome: 'success' },
    organization: { id: 'acme' },
    user: { id: 'u_17', name: 'Ann Lee', roles: ['admin', 'billing'] },
    source: { ip: '203.0.113.7' },
    user_agent: {
      original: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36',
    },
    http: { request: { id: `req_${n}`, method: 'PATCH' }, route: '/users/:id' },
    audit: {
      actor_type: 'user',
      target: { type: 'user', id: `u_${n}`, name: 'Bea Moss' },
      changes: [{ path: '/role', old: 'clerk', new: 'admin' }],
      data: { n },
    },
  }
}

/** The number in a document, also where that is a text in JSON. */
export const NUMBER = /\\?"n\\?":(\d+)/

/** Of a hundred entries one that a SIEM may never take. */
export const isPoison = (n: number): boolean => n % 100 === 50
