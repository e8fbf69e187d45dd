import { createHttp } from '@keelson/http'
import { createIdempotency } from '@keelson/idempotency'
import { expressSubject } from '../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../adapters-express/test/support.ts'
import { openStore, type StoreKind } from '../../idempotency/test/faults/open-store.ts'

/** One of two processes on one store, each with a clock of its own: says where it listens, and when a handler begins. */
const { KIND, STORE_URL = '', SPACE = '' } = process.env
const { store } = await openStore(KIND as StoreKind, STORE_URL, SPACE)
const idempotency = createIdempotency({ store, storeTimeout: '10s', wait: '1m' })
const go = Promise.withResolvers<void>()
const { url } = await expressSubject(frameworks[0]!).start(
  [
    {
      method: 'POST',
      path: '/orders',
      kind: 'json',
      policy: { idempotent: { required: true, retain: '30m' } },
      async enter() {
        process.send?.({ ranAtMs: Date.now() })
        await go.promise
      },
      async *pieces() {},
    },
  ],
  createHttp({ idempotency, scope: () => 'm1' }),
)

process.on('message', (job) => (job === 'where' ? process.send?.({ url }) : go.resolve()))
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
