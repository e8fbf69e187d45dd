import { statfs } from 'node:fs/promises'
import { checkOptions, opt, type Component } from '@keelson/kernel'
import { database, type DatabaseLike, type PgPoolLike } from '@keelson/kernel/postgres'
import { redisPort, type IoredisLike, type NodeRedisLike, type RedisPort } from '@keelson/kernel/redis'
import { optionFailure } from '../error.ts'

/** Something to ask. */
export interface Check {
  /** Fails by a throw, a rejection or `false`. The signal aborts when nobody waits for the answer any more. */
  check(signal: AbortSignal): unknown
}

/** Checks for `health.add()`: `health.add('db', { ...checks.database(pool), critical: true })`. */
export interface Checks {
  /** `select 1` on a pg Pool, a PGlite or a Database. A connection that does not answer is destroyed. */
  database(db: DatabaseLike): Check
  /** PING through an ioredis or node-redis client, or the kernel's port. */
  redis(client: IoredisLike | NodeRedisLike | RedisPort): Check
  /** Fails when the process holds more than `maxRss` bytes. */
  memory(o: { readonly maxRss: number }): Check
  /** Fails when the file system of `path` has fewer than `minFree` bytes for us. */
  disk(o: { readonly path: string; readonly minFree: number }): Check
  /** Fails while a component says that it is 'down'. */
  component(component: Pick<Component, 'inspect'>): Check
}

const BYTES = opt.required(opt.integer(0, { min: 1 }))
const MEMORY = { maxRss: BYTES }
const DISK = { path: opt.required(opt.string('', { match: /./ })), minFree: BYTES }

/** Checks of what most processes need; each throws ResilienceError OPTION_INVALID for a wrong argument. */
export const checks: Checks = {
  database(db) {
    const known = recognised('database', () => database(db))
    return { check: (signal) => (isPool(db) ? askPool(db, signal) : known.transaction((tx) => tx.query('select 1'))) }
  },
  redis(client) {
    const port = recognised('redis', () => redisPort(client))
    return { check: () => port.command(null, ['PING']) }
  },
  memory(given) {
    const { maxRss } = checkOptions('checks.memory', given, MEMORY, optionFailure)
    return {
      check() {
        const held = process.memoryUsage.rss()
        if (held > maxRss) throw new Error(`${held} bytes held, over ${maxRss}`)
      },
    }
  },
  disk(given) {
    const { path, minFree } = checkOptions('checks.disk', given, DISK, optionFailure)
    return {
      async check() {
        const { bavail, bsize } = await statfs(path)
        if (bavail * bsize < minFree) throw new Error(`${bavail * bsize} bytes free, under ${minFree}`)
      },
    }
  },
  component(component) {
    if (typeof (component as Partial<Component> | null | undefined)?.inspect !== 'function')
      throw optionFailure('checks.component: "component" must be an object with inspect()')
    return {
      async check() {
        const { state, lastError } = await component.inspect()
        if (state === 'down') throw new Error(lastError?.message ?? 'it is down')
      },
    }
  },
}

/** The kernel says what it found in a client's place. */
function recognised<T>(check: string, find: () => T): T {
  try {
    return find()
  } catch (cause) {
    throw optionFailure(`checks.${check}: ${(cause as Error).message}`)
  }
}

function isPool(db: DatabaseLike): db is PgPoolLike {
  return 'totalCount' in db && 'connect' in db
}

/** `pool.query` would keep a connection that never answers: with enough probes, all of them. */
async function askPool(pool: PgPoolLike, signal: AbortSignal): Promise<void> {
  const client = await pool.connect()
  // It came too late, but it is a good one.
  if (signal.aborted) return client.release()
  // pg tells of a connection that breaks while it is ours, and once more while it closes.
  const broken = (): void => {}
  client.on('error', broken)
  const destroy = (): void => client.release(true)
  signal.addEventListener('abort', destroy)
  try {
    await client.query('select 1')
  } finally {
    signal.removeEventListener('abort', destroy)
    if (!signal.aborted) {
      client.removeListener('error', broken)
      client.release()
    }
  }
}
