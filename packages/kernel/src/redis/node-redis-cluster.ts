import type { ClusterNode } from './cluster.ts'
import { sendToMaster } from './cluster.ts'
import { clusterListener } from './cluster-listener.ts'
import type { RedisDriver } from './driver.ts'
import { nodeRedisListener } from './node-redis-listener.ts'
import { duplicateOf, sendByNodeRedis, type NodeRedisClient, type NodeRedisLike } from './node-redis.ts'

/** What is used of a node-redis cluster. */
interface Cluster extends NodeRedisLike {
  readonly slots: readonly ({ readonly master: object } | undefined)[]
  readonly masters: readonly object[]
  readonly nodeByAddress: ReadonlyMap<string, object>
  nodeClient(node: object): Promise<NodeRedisClient>
  duplicate(overrides?: any): any
}

/** A node-redis cluster. Commands go to a node's own connection: WAIT has no key to be sent by. */
export function nodeRedisClusterDriver(client: NodeRedisLike): RedisDriver {
  const cluster = client as Cluster
  const open = async (node: object | undefined): Promise<ClusterNode | undefined> =>
    node === undefined ? undefined : nodeOf(await cluster.nodeClient(node))
  const view = {
    master: (slot: number | null) => open(slot === null ? anyOf(cluster) : cluster.slots[slot]?.master),
    at: (address: string) => open(cluster.nodeByAddress.get(address)),
    learn: (key: string | null) =>
      key === null
        ? cluster.sendCommand(undefined, false, ['PING'])
        : cluster.sendCommand(key, false, ['EVAL', 'return 0', '1', key]),
  }
  return {
    client: 'node-redis',
    cluster: true,
    sharded: 'sSubscribe' in cluster,
    send: (key, commands) => sendToMaster(view, key, commands),
    listen: async (events, signal) => clusterListener(view, events, signal),
    duplicate: () => duplicateOf(cluster, nodeRedisClusterDriver),
  }
}

function anyOf(cluster: Cluster): object | undefined {
  return cluster.masters[Math.floor(Math.random() * cluster.masters.length)]
}

function nodeOf(node: NodeRedisClient): ClusterNode {
  return {
    id: node,
    send: (commands) => sendByNodeRedis(node, commands),
    listen: (events, signal) => nodeRedisListener(node, events, signal),
  }
}
