import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { Place } from './place.ts'

/** A server of a test's own: what it has acknowledged is there after every kill. */
export const startDurable: Record<Place['kind'], () => Promise<PrivateServer>> = {
  redis: () => startRedis({ settings: { appendonly: 'yes', appendfsync: 'always' } }),
  postgres: () => startPostgres(),
}
