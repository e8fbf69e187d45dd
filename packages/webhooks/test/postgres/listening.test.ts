import { once } from 'node:events'
import pg from 'pg'
import { expect, inject, test, vi } from 'vitest'
import { postgresStore } from '@keelson/webhooks/postgres'
import { openPostgres } from './open-postgres.ts'

async function connected(): Promise<pg.Client> {
  const client = new pg.Client(inject('databaseUrl'))
  client.on('error', () => {})
  await client.connect()
  return client
}

test('a connection that may not listen is closed', async () => {
  await using opened = await openPostgres()
  const { pool, schema } = opened
  const ended = Promise.withResolvers<void>()
  const listen = async (): Promise<pg.Client> => {
    const client = await connected()
    void once(client, 'end').then(() => ended.resolve())
    // As on a standby, every statement is refused.
    await client.query('begin; select 1 / 0').catch(() => {})
    return client
  }
  const store = postgresStore(pool, { schema, listen })
  const stop = await store.onWake(() => {})
  await ended.promise
  await stop()
})

test('a server that lets nobody in to listen holds up nobody, and is heard once it does', async () => {
  await using opened = await openPostgres()
  const { pool, schema } = opened
  const { promise, resolve } = Promise.withResolvers<pg.Client>()
  const store = postgresStore(pool, { schema, listen: () => promise })
  const wake = vi.fn()
  const stop = await store.onWake(wake)
  resolve(await connected())
  await vi.waitFor(
    async () => {
      await pool.query(`notify ${schema}_webhooks`)
      expect(wake).toHaveBeenCalled()
    },
    { timeout: 60_000 },
  )
  await stop()
})
