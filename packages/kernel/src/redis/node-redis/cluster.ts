import { clusterListener } from '../cluster-listener.ts'
import { sendToMaster, type ClusterNode } from '../cluster.ts'
import type { RedisDriver } from '../driver.ts'
import { NOT_COPIED, openCopy } from './copy.ts'
import { listen } from './listener.ts'
import type { NodeRedisClient, NodeRedisLike } from './node-redis-like.ts'
import { send } from './send.ts'

/** What is used of a cluster. */
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
    duplicate: () => openCopy(cluster.duplicate(NOT_COPIED), nodeRedisClusterDriver),
  }
}

function anyOf(cluster: Cluster): object | undefined {
  return cluster.masters[Math.floor(Math.random() * cluster.masters.length)]
}

function nodeOf(node: NodeRedisClient): ClusterNode {
  return {
    id: node,
    send: (commands) => send(node, commands),
    listen: (events, signal) => listen(node, events, signal),
  }
}
