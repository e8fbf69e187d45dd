/** A private Redis Cluster: three masters that share the slots evenly. */
import { askRedis } from './ask-redis.ts'
import { HOST } from './private-server.ts'
import { startRedis, stopAtOnce, type RedisServer } from './redis.ts'
import { settled } from './settled.ts'
import { until } from './until.ts'

const MASTERS = 3
const SLOTS = 16_384
const READY_TIMEOUT_MS = 120_000
const SETTINGS = {
  'cluster-enabled': 'yes',
  'cluster-announce-ip': HOST,
  'repl-diskless-sync-delay': '0',
}
/** A node that says nothing for so long is thought dead: soon where a replica takes over, else only a busy machine would. */
const NODE_TIMEOUT_MS = { failover: 1_000, none: 30_000 }

/** All optional. */
export interface RedisClusterOptions {
  /** 0. */
  replicasPerMaster?: 0 | 1
  /** Lines of each redis.conf; they win over ours. */
  settings?: Record<string, string>
}

/** A running cluster. */
export interface RedisCluster extends AsyncDisposable {
  /** The masters in the order of their slots, then their replicas in the same order. */
  readonly nodes: readonly { host: string; port: number; server: RedisServer }[]
  /** Ends all nodes and removes their folders. Repeatable. */
  stop(): Promise<void>
}

/** Starts a cluster and waits until each node sees all slots served, and all replicas in step. About 2 s. */
export async function startRedisCluster(o: RedisClusterOptions = {}): Promise<RedisCluster> {
  await using started = new AsyncDisposableStack() // stops them when one fails
  const nodeTimeoutMs = o.replicasPerMaster ? NODE_TIMEOUT_MS.failover : NODE_TIMEOUT_MS.none
  const settings = { ...SETTINGS, 'cluster-node-timeout': String(nodeTimeoutMs), ...o.settings }
  const startNode = async (): Promise<RedisServer> => {
    const server = await startRedis({ settings })
    started.defer(() => stopAtOnce(server))
    return server
  }
  const count = MASTERS * (1 + (o.replicasPerMaster ?? 0))
  const servers = await settled(Array.from({ length: count }, startNode))

  await settled(servers.map((server, index) => introduce(server, index, servers)))
  await settled(
    servers.slice(MASTERS).map(async (replica, index) => {
      const master = String(await askRedis(servers[index]!.url, 'CLUSTER', 'MYID'))
      await until('a replica knows its master', READY_TIMEOUT_MS, () =>
        askRedis(replica.url, 'CLUSTER', 'REPLICATE', master),
      )
    }),
  )
  await until('the cluster is whole', READY_TIMEOUT_MS, async () => {
    const views = await Promise.all(servers.map((server) => isWhole(server, count)))
    return views.every(Boolean) || undefined
  })

  const nodes = servers.map((server) => ({ host: server.host, port: server.port, server }))
  const running = started.move()
  const stop = (): Promise<void> => running.disposeAsync()
  return { nodes, stop, [Symbol.asyncDispose]: stop }
}

/** Gives a master its slots, and makes the node known to those before it. */
async function introduce(server: RedisServer, index: number, servers: readonly RedisServer[]): Promise<void> {
  // Else the nodes settle who is newer among themselves, which takes its time.
  await askRedis(server.url, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
  if (index < MASTERS) {
    const firstOf = (master: number): number => Math.round((master * SLOTS) / MASTERS)
    const [first, end] = [firstOf(index), firstOf(index + 1)]
    const slots = Array.from({ length: end - first }, (_, offset) => first + offset)
    await askRedis(server.url, 'CLUSTER', 'ADDSLOTS', ...slots)
  }
  for (const { host, port } of servers.slice(0, index)) await askRedis(server.url, 'CLUSTER', 'MEET', host, port)
}

/** What one node sees: all slots served by `count` nodes that have met, and itself in step with its master. */
async function isWhole({ url }: RedisServer, count: number): Promise<boolean> {
  const info = String(await askRedis(url, 'CLUSTER', 'INFO'))
  const nodes = String(await askRedis(url, 'CLUSTER', 'NODES'))
    .trimEnd()
    .split('\n')
  const replication = String(await askRedis(url, 'INFO', 'replication'))
  return (
    info.includes('cluster_state:ok') &&
    info.includes(`cluster_slots_ok:${SLOTS}`) &&
    nodes.length === count &&
    nodes.filter((line) => line.includes('slave')).length === count - MASTERS &&
    !nodes.some((line) => line.includes('handshake')) &&
    (replication.includes('role:master') || replication.includes('master_link_status:up'))
  )
}
