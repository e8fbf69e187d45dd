import type { Database } from '@keelson/kernel'
import { Redis } from 'ioredis'
import { readFile } from 'node:fs/promises'

/** All that the nodes of a story keep. */
interface Stores {
  readonly db: Database
  readonly redisUrl: string | undefined
  /** Where the audit log is shipped to. */
  readonly file: string
}

/** Where a text can be read: tables, keys of Redis, the file. ASCII, so that it looks the same in JSON and in bytes. */
export async function placesOf(text: string, { db, redisUrl, file }: Stores): Promise<string[]> {
  const inFile = (await readFile(file)).includes(text) ? ['file'] : []
  return [...(await tablesWith(db, text)), ...(redisUrl === undefined ? [] : await keysWith(redisUrl, text)), ...inFile]
}

async function tablesWith(db: Database, text: string): Promise<string[]> {
  const { rows } = await db.query(`select format('%I.%I', table_schema, table_name) as name
from information_schema.tables where table_schema in ('keelson', 'parcels') and table_type = 'BASE TABLE' order by 1`)
  const found: string[] = []
  for (const { name } of rows as { name: string }[]) {
    // A row as text has its bytes in hexadecimal.
    const { rows: hits } = await db.query(
      `select 1 from ${name} as t where position($1 in t::text) > 0 or position($2 in t::text) > 0 limit 1`,
      [text, Buffer.from(text).toString('hex')],
    )
    if (hits.length > 0) found.push(name)
  }
  return found
}

async function keysWith(url: string, text: string): Promise<string[]> {
  const redis = new Redis(url)
  const found: string[] = []
  try {
    for await (const keys of redis.scanStream() as AsyncIterable<string[]>) {
      for (const key of keys) if (key.includes(text) || (await valueOf(redis, key)).includes(text)) found.push(key)
    }
    return found
  } finally {
    redis.disconnect()
  }
}

/** The bytes of a value, as far as it can have told anything. */
async function valueOf(redis: Redis, key: string): Promise<Buffer> {
  switch (await redis.type(key)) {
    case 'string':
      return (await redis.getBuffer(key)) ?? Buffer.of()
    case 'hash':
      return Buffer.concat(
        Object.entries(await redis.hgetallBuffer(key)).flatMap(([name, value]) => [Buffer.from(name), value]),
      )
    case 'zset':
      return Buffer.concat(await redis.zrangeBuffer(key, '0', '-1'))
    default:
      return Buffer.of()
  }
}
