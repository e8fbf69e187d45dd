/** Every client that a port promises to work over. */
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { createClient, createClientPool, createCluster } from 'redis'
import { redisPort, type IoredisLike, type NodeRedisLike, type RedisPort } from '../../src/redis/index.ts'

/** A client, its port, and its end. */
export interface Opened extends AsyncDisposable {
  readonly port: RedisPort
  readonly client: IoredisLike | NodeRedisLike
}

/** Opens a client to the server at `url`; `name` is its name in CLIENT LIST, and that of its copies. */
export type Open = (url: string, name?: string) => Promise<Opened>

/** Opens a client to a cluster. */
export type OpenCluster = (nodes: readonly { host: string; port: number }[], name?: string) => Promise<Opened>

const NAME = 'keelson-test'

/** The clients that differ in what they do. */
export const families: Record<string, Open> = {
  'ioredis 6': async (url, name = NAME) => ioredis(new Redis(url, { connectionName: name })),
  'ioredis 5': async (url, name = NAME) => ioredis(new Redis5(url, { connectionName: name })),
  'node-redis 6': async (url, name = NAME) => nodeRedis(createClient({ url, name })),
}

/** The same with settings that change what they answer, or how they send. */
export const variants: Record<string, Open> = {
  ...families,
  'ioredis 6 on RESP2': async (url, name = NAME) => ioredis(new Redis(url, { connectionName: name, protocol: 2 })),
  'ioredis 6 with automatic pipelines': async (url, name = NAME) =>
    ioredis(new Redis(url, { connectionName: name, enableAutoPipelining: true })),
  'ioredis 5 with automatic pipelines and numbers as strings': async (url, name = NAME) =>
    ioredis(new Redis5(url, { connectionName: name, enableAutoPipelining: true, stringNumbers: true })),
  'node-redis 6 on RESP2': async (url, name = NAME) => nodeRedis(createClient({ url, name, RESP: 2 })),
  'node-redis 6 with settings for each command': async (url, name = NAME) =>
    nodeRedis(createClient({ url, name, commandOptions: { asap: true, typeMapping: { 58: String } } })),
  'a node-redis 6 pool': async (url, name = NAME) => nodeRedis(createClientPool({ url, name }, { minimum: 2 })),
}

/** Cluster clients. */
export const clusters: Record<string, OpenCluster> = {
  'ioredis 6 Cluster': async (nodes, name = NAME) =>
    ioredis(new Cluster([...nodes], { scaleReads: 'slave', redisOptions: { connectionName: name } })),
  'ioredis 5 Cluster': async (nodes, name = NAME) =>
    ioredis(new Cluster5([...nodes], { enableAutoPipelining: true, redisOptions: { connectionName: name } })),
  'node-redis 6 cluster': async (nodes, name = NAME) =>
    nodeRedis(createCluster({ rootNodes: nodes.map((socket) => ({ socket })), defaults: { name }, useReplicas: true })),
}

interface Ioredis extends IoredisLike {
  on(event: 'error' | 'ready', listener: () => void): unknown
  disconnect(): void
}

async function ioredis(client: Ioredis): Promise<Opened> {
  client.on('error', () => {})
  if (client.status !== 'ready') await new Promise<void>((resolve) => client.on('ready', resolve))
  return { client, port: redisPort(client), [Symbol.asyncDispose]: async () => client.disconnect() }
}

interface NodeRedis extends NodeRedisLike {
  on(event: 'error', listener: () => void): unknown
  destroy(): unknown
}

async function nodeRedis(client: NodeRedis): Promise<Opened> {
  client.on('error', () => {})
  await client.connect()
  return { client, port: redisPort(client), [Symbol.asyncDispose]: async () => void client.destroy() }
}
