import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import type { RedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { until } from '../../../../tools/servers/until.ts'

/**
 * Makes a master the newest, and waits until all nodes know: what it then says of a slot counts. Else a late word of the
 * old owner may take a slot back on one node, and each then points to the other for ever.
 */
export async function makeNewest({ nodes }: RedisCluster, { url }: { readonly url: string }): Promise<void> {
  const id = String(await askRedis(url, 'CLUSTER', 'MYID'))
  await until('all nodes know the newest', 60_000, async () => {
    await askRedis(url, 'CLUSTER', 'BUMPEPOCH')
    const views = await Promise.all(nodes.map(({ server }) => askRedis(server.url, 'CLUSTER', 'NODES')))
    return views.every((view) => isNewest(String(view), id)) || undefined
  })
}

/** By the config epochs of the masters: the seventh field. */
function isNewest(view: string, id: string): boolean {
  const masters = view.split('\n').filter((line) => line.includes('master'))
  const epochOf = (line: string): number => Number(line.split(' ')[6])
  const own = masters.find((line) => line.startsWith(id))
  return own !== undefined && masters.every((line) => line === own || epochOf(line) < epochOf(own))
}
