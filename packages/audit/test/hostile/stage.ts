import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  createAudit,
  generateKey,
  memoryStore,
  type Audit,
  type AuditOptions,
  type AuditStore,
  type Sink,
} from '../../src/index.ts'

export const key: ReturnType<typeof generateKey> = generateKey('test.example/audit')
export const entry = { scope: 'acme', action: 'order.create', actor: { type: 'user', id: 'u_1' } } as const
const secret = (): string => randomBytes(32).toString('base64')
export const privacy = { secrets: [secret()], pseudonym: secret() }

/** A log that is closed behind the test. */
export function open(more: Partial<AuditOptions> = {}): Audit {
  const audit = createAudit({ store: memoryStore(), key: key.signer, privacy, ...more })
  onTestFinished(() => audit.close())
  return audit
}

export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A sink as somebody else writes it. */
export function sinkOf(more: Partial<Sink> = {}): Sink & { readonly has: string[] } {
  const has: string[] = []
  return {
    name: 'siem',
    ordered: false,
    maxBatchBytes: 100_000,
    maxBatchEntries: 10,
    flushMs: 0,
    timeoutMs: 60_000,
    deliver: async ({ entries }) => {
      has.push(...entries.map(({ id }) => id))
      return entries.map(() => 'ok')
    },
    has,
    ...more,
  }
}

/** A store that refuses connections while `isAway`. */
export function faultyStore(inner: AuditStore = memoryStore()): { readonly store: AuditStore; isAway: boolean } {
  const refused = async (): Promise<never> => {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  }
  const faulty = {
    isAway: false,
    store: new Proxy(inner, {
      get(target, name, receiver) {
        const member = Reflect.get(target, name, receiver) as unknown
        return typeof member === 'function' && faulty.isAway && name !== 'close' ? refused : member
      },
    }),
  }
  return faulty
}
