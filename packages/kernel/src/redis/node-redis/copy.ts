import type { RedisDriver } from '../driver.ts'
import type { NodeRedisLike } from './node-redis-like.ts'

/** What a copy must not have of the client's options: the user's cache would be flushed when the copy closes. */
export const NOT_COPIED = { clientSideCache: undefined, emitInvalidate: false }

/** A duplicate: ours to connect, listen to and end. */
export interface NodeRedisCopy extends NodeRedisLike {
  readonly isReady: boolean
  destroy(): unknown
  on(event: string, listener: (...args: any[]) => void): unknown
}

/** Connects a copy of a client or a cluster; ends it when that fails. */
export async function openCopy<C extends NodeRedisCopy>(
  copy: C,
  driverOf: (copy: C) => RedisDriver,
): ReturnType<RedisDriver['duplicate']> {
  copy.on('error', () => {}) // its commands hear of it
  const close = (): Promise<void> => endCopy(copy)
  try {
    await copy.connect()
  } catch (error) {
    await close()
    throw error
  }
  return { driver: driverOf(copy), close }
}

/** Ends a copy. Repeatable, as `destroy` of node-redis 5 is not. */
export async function endCopy(copy: NodeRedisCopy): Promise<void> {
  try {
    await copy.destroy()
  } catch {
    // It has ended.
  }
}
