/** A Postgres and a Redis of the test's own, and the ways in which each can be away. */
import { startFaultProxy, type FaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'

export type StoreName = 'Postgres' | 'Redis'
export type State = (typeof states)[number]
export const states = ['refused', 'frozen', 'slow'] as const

/**
 * Far beyond each `STORE_TIMEOUT` here, also of a process that stood still for a while; and what was asked for is done
 * all the same, behind everybody's back.
 */
const SLOW_MS = 5_000

/** A store that a test may take away. */
export interface Store {
  /** Where nodes find it: through the proxy. */
  readonly url: string
  /** Where the test looks. */
  readonly ownUrl: string
  hurt(state: State): void
  heal(): void
}

export interface Stores extends AsyncDisposable {
  readonly Postgres: Store
  readonly Redis: Store
}

export async function openStores(): Promise<Stores> {
  await using opened = new AsyncDisposableStack()
  const start = async (server: PrivateServer): Promise<Store> => {
    opened.use(server)
    return storeOf(server, opened.use(await startFaultProxy(server)))
  }
  const Postgres = await start(await startPostgres())
  const Redis = await start(await startRedis())
  const kept = opened.move()
  return { Postgres, Redis, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function storeOf(server: PrivateServer, proxy: FaultProxy): Store {
  const url = new URL(server.url)
  url.port = String(proxy.port)
  const ways: Record<State, () => void> = {
    refused: () => proxy.refuse(),
    // SIGSTOP: connections stay open, and nobody answers.
    frozen: () => server.freeze(),
    slow: () => proxy.delay(SLOW_MS),
  }
  return {
    url: url.href,
    ownUrl: server.url,
    hurt: (state) => ways[state](),
    heal() {
      server.thaw()
      proxy.pass()
    },
  }
}
