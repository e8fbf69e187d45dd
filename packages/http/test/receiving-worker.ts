import { createHttp } from '@keelson/http'
import { createIdempotency } from '@keelson/idempotency'
import { standard } from '@keelson/webhooks/verify'
import { requestVerifier } from '@keelson/webhooks/request-signing'
import { expressSubject } from '../../adapters-express/test/express-subject.ts'
import { frameworks } from '../../adapters-express/test/support.ts'
import { openStore, type StoreKind } from '../../idempotency/test/faults/open-store.ts'

/** One of two processes that webhooks and signed requests come to: says where it listens, and when a handler begins. */
const { KIND, STORE_URL = '', SPACE = '', SECRET = '' } = process.env
const { store } = await openStore(KIND as StoreKind, STORE_URL, SPACE)
const idempotency = createIdempotency({ store, storeTimeout: '10s', wait: '1m' })
const go = Promise.withResolvers<void>()
const keys = () => ({ alg: 'hmac-sha256', key: SECRET, principal: 'eve' }) as const
const receive = { verifier: standard({ secrets: [SECRET] }), source: 'shop', scope: 'acme' }
const { url } = await expressSubject(frameworks[0]!).start(
  [
    { path: '/hook', policy: { receive }, wait: go.promise },
    {
      path: '/signed',
      policy: { signed: { verifier: requestVerifier({ keys, nonces: idempotency }) } },
      wait: undefined,
    },
  ].map(({ path, policy, wait }) => ({
    method: 'POST',
    path,
    kind: 'json' as const,
    policy,
    async enter() {
      process.send?.({ ran: path })
      await wait
    },
    async *pieces() {},
  })),
  createHttp({ idempotency }),
)

process.on('message', (job) => (job === 'where' ? process.send?.({ url }) : go.resolve()))
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
