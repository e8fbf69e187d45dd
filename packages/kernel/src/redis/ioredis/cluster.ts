import { clusterListener } from '../cluster-listener.ts'
import { sendToMaster, type ClusterNode } from '../cluster.ts'
import type { RedisDriver } from '../driver.ts'
import { openCopy } from './copy.ts'
import type { IoredisLike } from './ioredis-like.ts'
import { listen } from './listener.ts'
import { send } from './send.ts'

/** What is used of a Cluster beside what a Redis has. */
interface Cluster extends IoredisLike {
  /** `host:port` of the master, then of its replicas, by slot. */
  readonly slots: readonly (readonly string[])[]
  nodes(role: 'master' | 'all'): IoredisLike[]
}

/**
 * An ioredis Cluster. Commands go to a node's own connection, because the Cluster's would read from replicas when
 * `scaleReads` says so, and would not follow MOVED for a flight in which WAIT has succeeded.
 */
export function ioredisClusterDriver(client: IoredisLike): RedisDriver {
  const cluster = client as Cluster
  const find = (address: string | undefined): ClusterNode | undefined => {
    const node = cluster.nodes('all').find(({ options }) => `${options.host}:${options.port}` === address)
    return node === undefined ? undefined : nodeOf(node)
  }
  const view = {
    master: async (slot: number | null) => (slot === null ? anyOf(cluster) : find(cluster.slots[slot]?.[0])),
    at: async (address: string) => find(address),
    learn: (key: string | null) => learn(cluster, key === null ? [] : [key]),
  }
  return {
    client: 'ioredis',
    cluster: true,
    sharded: 'ssubscribe' in cluster,
    send: (key, commands) => sendToMaster(view, key, commands),
    listen: async (events, signal) => clusterListener(view, events, signal),
    duplicate: () => openCopy(cluster.duplicate([], { lazyConnect: true }), ioredisClusterDriver),
  }
}

/**
 * A script that does nothing counts as a write, so it leads to the master. In a pipeline, because `eval` of a Cluster
 * with `enableAutoPipelining` takes the script for the key; in lower case, because ioredis 5 sees keys only there.
 */
async function learn(cluster: Cluster, keys: readonly string[]): Promise<void> {
  // Its pipelines would wait for ever.
  if (cluster.status === 'end') throw new Error('Connection is closed.')
  const [[error]] = await cluster
    .pipeline()
    .callBuffer('eval', 'return 0', keys.length, ...keys)
    .exec()
  if (error !== null) throw error
}

function anyOf(cluster: Cluster): ClusterNode | undefined {
  const masters = cluster.nodes('master')
  const node = masters[Math.floor(Math.random() * masters.length)]
  return node === undefined ? undefined : nodeOf(node)
}

function nodeOf(node: IoredisLike): ClusterNode {
  return {
    id: node,
    send: (commands) => send(node, commands),
    listen: (events, signal) => listen(node, events, signal),
  }
}
