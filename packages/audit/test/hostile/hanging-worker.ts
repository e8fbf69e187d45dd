import { createAudit, generateKey, memoryStore } from '../../src/index.ts'

/** A log with a sink that never answers, from the start to the end of a process. */
const never = (): Promise<never> => new Promise(() => {})
const log = createAudit({
  store: memoryStore(),
  key: generateKey('test.example/audit').signer,
  sinks: [
    {
      name: 'siem',
      ordered: false,
      maxBatchBytes: 1_000,
      maxBatchEntries: 10,
      flushMs: 0,
      timeoutMs: 1_000,
      deliver: never,
      close: never,
    },
  ],
})
await log.record({ scope: 'acme', action: 'order.create', actor: { type: 'user', id: 'u_1' } })
await log.flush({ to: 'shipped', timeout: 10 }).catch(() => console.log('flushed'))
await log.start()
await log.close()
console.log('closed')
