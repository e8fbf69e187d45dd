import { expect, test } from 'vitest'
import { createAudit, generateKey, memoryStore, type AuditStore } from '../src/index.ts'

const key = generateKey('test.example/audit')
const entry = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } }

/** A log to which something is added each time that one of these is read. */
function growing(...methods: ('head' | 'read' | 'checkpoints' | 'tiles')[]) {
  const store = memoryStore()
  let isVerifying = false
  const grow = async (): Promise<void> => {
    if (!isVerifying) return
    isVerifying = false
    await log.record(entry)
    await log.flush()
    isVerifying = true
  }
  const watched = methods.map((name) => [
    name,
    async (...args: never[]) => {
      const answer: unknown = await (store[name] as (...args: never[]) => Promise<unknown>)(...args)
      await grow()
      return answer
    },
  ])
  const log = createAudit({ store: { ...store, ...(Object.fromEntries(watched) as AuditStore) }, key: key.signer })
  return {
    log,
    async verify(against: readonly string[] = []) {
      isVerifying = true
      try {
        return await log.verify({ against })
      } finally {
        isVerifying = false
      }
    },
  }
}

test.each([['head'], ['read'], ['checkpoints'], ['tiles'], ['head', 'read', 'checkpoints', 'tiles']] as const)(
  'what is sealed while a log is verified is no fault of it: %s',
  async (...methods) => {
    const { log, verify } = growing(...methods)
    for (let i = 0; i < 3; i++) await log.record(entry)
    await log.flush()
    expect(await verify([await log.checkpoint()])).toMatchObject({ ok: true, completeness: 'ok', problems: [] })
    await log.close()
  },
)
