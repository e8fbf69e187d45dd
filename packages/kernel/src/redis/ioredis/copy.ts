import type { RedisDriver } from '../driver.ts'
import type { IoredisLike } from './ioredis-like.ts'

/** A duplicate: ours to connect, listen to and end. */
export interface IoredisCopy extends IoredisLike {
  connect(): Promise<void>
  disconnect(): void
  on(event: string, listener: (...args: any[]) => void): unknown
  once(event: string, listener: () => void): unknown
}

/** Connects a copy of a Redis or a Cluster; ends it when that fails. */
export async function openCopy(
  copy: IoredisCopy,
  driverOf: (copy: IoredisLike) => RedisDriver,
): ReturnType<RedisDriver['duplicate']> {
  copy.on('error', () => {}) // its commands hear of it
  const close = closerOf(copy)
  try {
    await copy.connect()
  } catch (error) {
    await close()
    throw error
  }
  return { driver: driverOf(copy), close }
}

/** What ends a copy, and resolves when its connections are gone. Repeatable, as `disconnect` of a Cluster is not. */
export function closerOf(copy: IoredisCopy): () => Promise<void> {
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  copy.once('end', resolve)
  let asked = false
  return () => {
    // Between two tries there is no connection whose end would be told.
    if (copy.status === 'reconnecting') resolve()
    if (!asked && copy.status !== 'end') copy.disconnect()
    asked = true
    return ended
  }
}
