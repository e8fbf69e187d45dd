import { createAudit, memoryStore, type Audit, type Outcome, type Sink } from '@keelson/audit'

/** An audit log with a sample in each family: entries shipped, tried again, refused by a sink, and lost. */
export async function auditAtWork(opened: AsyncDisposableStack): Promise<Audit> {
  const outcomes: Outcome[] = [{ retry: 'busy' }, { reject: 'no' }]
  const sink: Sink = {
    name: 'siem',
    ordered: false,
    maxBatchBytes: 1_000,
    maxBatchEntries: 1,
    flushMs: 0,
    timeoutMs: 10_000,
    deliver: async () => [outcomes.shift() ?? 'ok'],
  }
  const audit = opened.use(createAudit({ store: memoryStore(), storeTimeout: '10s', sinks: [sink] }))
  const entry = { scope: 'm1', action: 'order.create', actor: { type: 'user', id: 'u1' } }
  await audit.record(entry)
  await audit.record({ ...entry, action: 'no action' }).catch(() => {})
  audit.emit({ ...entry, action: 'no action' })
  await audit.record(entry)
  await audit.flush()
  await audit.start()
  await audit.flush({ to: 'shipped' })
  return audit
}
