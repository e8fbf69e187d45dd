import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BumpMessage, CacheTier } from '@keelson/cache'
import { postgresStore } from '@keelson/cache/postgres'
import { startPostgres, type PostgresServer } from '../../../../tools/servers/postgres.ts'
import { openPostgres } from './databases.ts'
import { drop, LIMITS, NAME, read, refOf } from './steps.ts'

let server: PostgresServer
let opened: Awaited<ReturnType<typeof openPostgres>>
let store: ReturnType<typeof postgresStore>
let tier: CacheTier
beforeAll(async () => {
  // Of its own: pruning stops at whatever is open on a server.
  server = await startPostgres()
  opened = await openPostgres(server.url)
  store = postgresStore(opened.pool, { schema: opened.schema })
  tier = store.open(NAME, LIMITS)
})
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await server.stop()
})

async function join(): Promise<{ heard(): Promise<string[]>; lost: () => number; epoch(): Promise<string> }> {
  const messages: BumpMessage[] = []
  let lost = 0
  const on = {
    bump: (message: BumpMessage) => void messages.push(message),
    filled() {},
    ack() {},
    lost: () => void lost++,
  }
  const member = await tier.join!('n1', { leaseMs: 1_000, on })
  return {
    async heard() {
      await member.renew()
      return messages.splice(0).flatMap(({ list }) => list.flatMap(({ tags, soft }) => (soft ? `${tags}?` : tags)))
    },
    lost: () => lost,
    epoch: async () => (await member.renew()).epoch,
  }
}

test('a renewal hears each drop once, also those of a transaction that is older than all it has heard', async () => {
  const session = await opened.pool.connect()
  try {
    await session.query('begin')
    await drop(session, store, 'slow')
    const member = await join()
    expect(await member.heard()).toEqual([])
    await tier.bump([{ scope: 'acme', tags: ['a', '\u0001k=b\0\n'] }], 'n0')
    await tier.bump([{ scope: 'acme', tags: ['soft'], soft: true }], 'n0')
    expect(await member.heard()).toEqual(['a', '\u0001k=b\0\n', 'soft?'])
    expect(await member.heard()).toEqual([])
    await drop(opened.pool, store, 'b')
    await session.query('commit')
    expect((await member.heard()).toSorted()).toEqual(['b', 'slow'])
    expect(await member.heard()).toEqual([])
  } finally {
    session.release()
  }
})

test('the messages of one transaction are one', async () => {
  const stamps: string[] = []
  const on = { bump: ({ stamp }: BumpMessage) => void stamps.push(stamp), filled() {}, ack() {}, lost() {} }
  const member = await tier.join!('n1', { leaseMs: 1_000, on })
  const { stamp } = await tier.bump(
    [
      { scope: 'acme', tags: ['a', 'b'] },
      { scope: 'x', tags: ['c'] },
    ],
    'n0',
  )
  await member.renew()
  expect(stamps).toEqual([stamp])
  await member.leave()
})

test('a new epoch is told by the renewal', async () => {
  const member = await join()
  const before = await member.epoch()
  expect(await tier.epoch()).toBe(before)
  await tier.bump([{ tags: [], epoch: true }], 'n0')
  expect(await member.epoch()).not.toBe(before)
})

test('who was away until its drops were pruned is told that it has missed them', async () => {
  const member = await join()
  await tier.bump([{ scope: 'acme', tags: ['a'] }], 'n0')
  await opened.pool.query(`update ${opened.schema}.cache_drop set at = at - interval '3 hours'`)
  await read(tier, refOf('a'))
  await tier.purge()
  await expect(member.heard()).rejects.toThrow()
  expect(member.lost()).toBe(1)
})

test('an exclusive store has no members: nobody else invalidates', () => {
  const alone = postgresStore(opened.pool, { schema: opened.schema, exclusive: true }).open(NAME, LIMITS)
  expect([alone.coherence, alone.join]).toEqual(['exclusive', undefined])
  expect(tier.coherence).toBe('validated')
})
