import { responseCodec } from '@keelson/idempotency'
import type { Principal } from '@keelson/kernel'
import { teamOf } from './couriers.ts'
import type { System } from './system.ts'

/** A component that keeps what a merchant told, and in which scope. */
export interface Holder {
  readonly name: keyof System
  export(by: Principal): AsyncIterable<unknown>
  erase(by: Principal): Promise<object>
}

/** Why. The log of who did what wants to know. */
const REASON = 'the merchant has left'

/**
 * All that hold something of a merchant. The cache is not among them: it has copies, which the erasure drops. Limits
 * and breakers count, and know no more than ids. The audit log comes first: a legal hold on it stops an erasure.
 */
export function holdersOf(
  { audit, idempotency, webhooks, sync }: Pick<System, 'audit' | 'idempotency' | 'webhooks' | 'sync'>,
  merchant: string,
): readonly Holder[] {
  const team = teamOf(merchant)
  return [
    {
      name: 'audit',
      export: (by) => audit.exportSubject(merchant, merchant, { by }),
      erase: (by) => audit.eraseSubject(merchant, merchant, { reason: REASON, by }),
    },
    {
      name: 'idempotency',
      async *export() {
        for await (const { bytes, ...about } of idempotency.exportSubject(merchant, merchant)) {
          const { status, body } = responseCodec.decode(bytes)
          yield { ...about, status, body: Buffer.from(body).toString() }
        }
      },
      erase: () => idempotency.eraseSubject(merchant, merchant),
    },
    {
      name: 'webhooks',
      export: () => webhooks.exportSubject(merchant, merchant),
      erase: () => webhooks.eraseSubject(merchant, merchant),
    },
    {
      name: 'sync',
      async *export(by) {
        yield* sync.exportSubject(team, merchant)
        // What couriers wrote and nobody took.
        for (const status of ['open', 'resolved'] as const) {
          for (let after: string | null | undefined; after !== null;) {
            const page = after === undefined ? { status } : { status, after }
            const { items, next } = await sync.conflicts.list({ principal: by, scope: merchant }, page)
            yield* items
            after = next
          }
        }
      },
      erase: () => sync.eraseSubject(team, merchant),
    },
  ]
}
