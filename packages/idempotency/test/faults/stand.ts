import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import {
  createIdempotency,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import type { RedisStoreOptions } from '@keelson/idempotency/redis'
import { migrate } from '@keelson/kernel/postgres'
import { awakeMs } from '../../../../tools/awake-clock.ts'
import { startFaultProxy, type FaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { openStore, type StoreKind } from './open-store.ts'

/** A private server to be hurt, behind a proxy to be hurt, with stores over it. */
export interface Stand extends AsyncDisposable {
  readonly kind: StoreKind
  readonly server: PrivateServer
  readonly proxy: FaultProxy
  /** By way of the proxy. */
  readonly url: string
  /** Prefix or schema of the stores. */
  readonly space: string
  /** An instance with connections of its own, which has been served once; closed with the stand. */
  open(options?: Partial<IdempotencyOptions>, o?: { direct?: boolean; redis?: RedisStoreOptions }): Promise<Idempotency>
}

/** Longer than a busy machine takes for a round trip. */
export const STORE_TIMEOUT_MS = 1_000

/** What was answered survives a SIGKILL: the log is written before the answer leaves, and never behind an fsync. */
const DURABLE = { appendonly: 'yes', appendfsync: 'no' }

/** Starts both and opens nothing yet. */
export async function startStand(kind: StoreKind): Promise<Stand> {
  await using started = new AsyncDisposableStack()
  const server = started.use(await (kind === 'Postgres' ? startPostgres() : startRedis({ settings: DURABLE })))
  const proxy = started.use(await startFaultProxy(server))
  const url = server.url.replace(`:${server.port}`, `:${proxy.port}`)
  const space = `faults_${randomBytes(4).toString('hex')}`
  if (kind === 'Postgres') {
    const pool = new pg.Pool({ connectionString: server.url, max: 1 })
    await migrate(pool, [postgresStore(pool, { schema: space })])
    await pool.end()
  }
  const running = started.move()
  return {
    kind,
    server,
    proxy,
    url,
    space,
    async open(options = {}, { direct = false, redis = {} } = {}) {
      const { store, ...opened } = await openStore(kind, direct ? server.url : url, space, redis)
      running.defer(() => opened[Symbol.asyncDispose]())
      const idempotency: Idempotency = createIdempotency<IdempotencyStore>({
        store,
        storeTimeout: STORE_TIMEOUT_MS,
        ...options,
      })
      running.defer(() => idempotency.close())
      await served(idempotency)
      return idempotency
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** Waits until a run is: on a machine in full work the first one may take longer than `storeTimeout`. */
export function served(idempotency: Idempotency): Promise<unknown> {
  return until('an instance is served', 120_000, async () => {
    const call = { scope: 'm1', op: 'warm up', key: randomUUID() }
    const outcome = await idempotency.run(call, async () => 1)
    return (outcome.ok && outcome.kind === 'executed') || undefined
  })
}

export interface Timed<T> {
  readonly value: T
  /** Of the time in which this process could run. */
  readonly tookMs: number
}

export async function timed<T>(promise: Promise<T>): Promise<Timed<T>> {
  const startMs = awakeMs()
  return { value: await promise, tookMs: awakeMs() - startMs }
}

/** A door that is shut until it is opened. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}
