import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttp, type FetchHandler } from '@keelson/http'
import { syncApi, type SyncLike } from '@keelson/http/apis'
import { nodeExchanges } from '@keelson/http/node'
import { context, type Principal } from '@keelson/kernel'
import type { Subject } from '@keelson/kernel/conformance'
import { createSync, type SyncStore } from '@keelson/sync'
import type { WireServer, WireUser } from '@keelson/sync/conformance'

const TOKENS: Readonly<Record<WireUser, string>> = { ann: 'token-a', bob: 'token-b' }
const PRINCIPALS = new Map(
  Object.entries(TOKENS).map(([id, token]): [string, Principal] => [`Bearer ${token}`, { id }]),
)

/** What {@link WireServer} says that it must serve. */
function openWireSync(store: SyncStore) {
  return createSync({
    store,
    storeTimeout: '30s',
    scopes: ({ principal }) => ['everybody', 'team:blue', ...(principal.id === 'ann' ? ['team:red'] : [])],
    collections: {
      task: {
        fields: { team: 'lww', title: 'lww', done: 'lww', budget: 'strict' },
        scope: ({ team = 'blue' }: { team?: string }) => `team:${team}`,
      },
      note: { fields: { text: 'lww' }, scope: () => 'everybody' },
    },
  })
}

/** What is wrong with a server. */
export interface WireFault {
  readonly sync?: (good: SyncLike) => Partial<SyncLike>
  readonly api?: (good: FetchHandler) => FetchHandler
}

/** A server on node:http for each case, on stores of its own or on one that all share. */
export function wireSubject(newStore: () => Promise<SyncStore>, { sync: wrong, api: wrongApi }: WireFault = {}) {
  return {
    has: ['rebase'],
    async make() {
      const sync = openWireSync(await newStore())
      const http = createHttp()
      const good = syncApi({
        http,
        sync: { ...sync, ...wrong?.(sync) },
        scope: 'everybody',
        authorize: ({ headers }) => PRINCIPALS.get(headers.get('authorization') ?? ''),
      })
      const api = wrongApi?.(good) ?? good
      const exchanges = nodeExchanges<IncomingMessage>({ target: ({ url }) => url!, route: () => '/sync' }, 1)
      const server = createServer((req, res) => {
        const x = exchanges.of(req, res, req)
        context.run(http.begin(x), () => void x.serve(http, api, req.url!.slice('/sync'.length)))
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sync`,
        headers: (user: WireUser) => ({ Authorization: `Bearer ${TOKENS[user]}` }),
        rebase: async () => void (await sync.rebase()),
        async dispose() {
          server.closeAllConnections()
          await new Promise((resolve) => server.close(resolve))
          await sync.close()
        },
      }
    },
  } satisfies Subject<WireServer>
}
