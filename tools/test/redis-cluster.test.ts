import { existsSync } from 'node:fs'
import { Cluster } from 'ioredis'
import { expect, it } from 'vitest'
import { askRedis } from '../servers/ask-redis.ts'
import { alive } from '../servers/process-table.ts'
import type { RedisServer } from '../servers/redis.ts'
import { startRedisCluster, type RedisCluster } from '../servers/redis-cluster.ts'

/** One for each third of the slots: 3300, 7365 and 15495. */
const KEYS = ['b', 'c', 'a'] as const

/** Gives up only on what hangs. */
const PATIENT = { timeout: 60_000 }

function connect(cluster: RedisCluster): Cluster {
  const client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
  client.on('error', () => {})
  return client
}

async function folderOf({ url }: RedisServer): Promise<string> {
  return ((await askRedis(url, 'CONFIG', 'GET', 'dir')) as string[])[1]!
}

it('keeps each key on the master that has its slot, and leaves no process and no folder when stopped', async () => {
  const cluster = await startRedisCluster()
  const states = await Promise.all(cluster.nodes.map(({ server }) => askRedis(server.url, 'CLUSTER', 'INFO')))
  expect(states.map(String)).toEqual(Array(3).fill(expect.stringContaining('cluster_state:ok')))
  const client = connect(cluster)
  for (const key of KEYS) await client.set(key, `of ${key}`)
  expect(await Promise.all(KEYS.map((key) => client.get(key)))).toEqual(KEYS.map((key) => `of ${key}`))
  const held = await Promise.all(cluster.nodes.map(({ server }) => askRedis(server.url, 'KEYS', '*')))
  expect(held).toEqual(KEYS.map((key) => [key]))
  client.disconnect()
  const pids = cluster.nodes.map(({ server }) => server.pid)
  expect(alive(pids)).toHaveLength(3)
  const folders = await Promise.all(cluster.nodes.map(({ server }) => folderOf(server)))
  await cluster.stop()
  await cluster.stop()
  expect(alive(pids)).toEqual([])
  expect(folders.filter((folder) => existsSync(folder))).toEqual([])
})

it('goes on without a master that has a replica', async () => {
  await using cluster = await startRedisCluster({ replicasPerMaster: 1 })
  expect(cluster.nodes).toHaveLength(6)
  const client = connect(cluster)
  await client.set(KEYS[0], 'before')
  const [master, , , replica] = cluster.nodes.map(({ server }) => server)
  await expect.poll(() => askRedis(replica!.url, 'DBSIZE'), PATIENT).toBe(1)
  await master!.kill()
  await expect.poll(() => client.get(KEYS[0]).catch(() => 'down'), PATIENT).toBe('before')
  await expect.poll(() => client.set(KEYS[0], 'after').catch(() => 'down'), PATIENT).toBe('OK')
  client.disconnect()
})
