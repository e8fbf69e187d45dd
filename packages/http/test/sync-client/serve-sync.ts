import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttp } from '@keelson/http'
import { syncApi } from '@keelson/http/apis'
import { nodeExchanges } from '@keelson/http/node'
import { context } from '@keelson/kernel'
import { createSync, type OpResult, type SyncStore, type Win } from '@keelson/sync'

export interface Task {
  readonly title?: string
  readonly text?: string
  readonly done?: boolean
}

export interface ServedSync {
  readonly port: number
  close(): Promise<void>
}

/** Tasks of one team over node:http. `Bearer ann` is Ann. */
export async function serveSync(o: {
  readonly store: SyncStore
  readonly port?: number
  apply(tx: any, wins: readonly Win<Task>[]): Promise<void>
  /** What it answers to a push. */
  onResults?(results: readonly OpResult[]): void
}): Promise<ServedSync> {
  const sync = createSync({
    store: o.store,
    storeTimeout: '30s',
    scopes: () => ['acme', 'acme/team:1'],
    collections: {
      task: {
        fields: { title: 'lww', text: 'lww', done: 'lww' },
        scope: () => 'acme/team:1',
        apply: (tx, wins) => o.apply(tx, wins),
      },
    },
  })
  const http = createHttp()
  const api = syncApi({
    http,
    sync: {
      ...sync,
      async push(who, request, more) {
        const answer = await sync.push(who, request, more as object)
        o.onResults?.(answer.results)
        return answer
      },
    },
    scope: 'acme',
    authorize: ({ headers }) => {
      const [, id] = /^Bearer (\w+)$/.exec(headers.get('authorization') ?? '') ?? []
      return id === undefined ? undefined : { id }
    },
  })
  const exchanges = nodeExchanges<IncomingMessage>({ target: ({ url }) => url!, route: () => '/sync' }, 1)
  const server = createServer((req, res) => {
    const x = exchanges.of(req, res, req)
    context.run(http.begin(x), () => void x.serve(http, api, req.url!.slice('/sync'.length)))
  })
  await once(server.listen(o.port ?? 0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await sync.close()
    },
  }
}
