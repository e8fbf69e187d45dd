import { Redis } from 'ioredis'
import { expect, inject, test } from 'vitest'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { bumpScript, putScript } from '../../src/redis/bump.lua.ts'
import { fillScript } from '../../src/redis/fill.lua.ts'
import { readScript } from '../../src/redis/read.lua.ts'
import { aRef, anEntry, aTier, bodyOf, connect, HOUR_MS } from './a-tier.ts'
import { somePrefix } from './some-prefix.ts'

const ref = aRef(['user', 7], ['declared'])

/** ioredis sends again what had no answer: the same call, to the byte. */
async function losingReplies() {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  const proxy = await startFaultProxy({ host, port: Number(port) })
  const client = new Redis(proxy.port, proxy.host)
  client.on('error', () => {}) // it says that the connection broke
  return {
    client,
    lose: (script: { sha: string }) => proxy.loseReplyAfter((bytes) => bytes.includes(script.sha)),
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await proxy.close()
    },
  }
}

test('a call whose reply was lost is sent again without harm', async () => {
  await using over = await losingReplies()
  const it = aTier(over.client)
  await it.tier.put(ref, await it.filled(ref), 'n0') // the server knows the scripts now
  await it.bump('declared')

  let fired = over.lose(readScript)
  const mine = (await it.read(ref, { lockMs: HOUR_MS, node: 'n1' })) as { lease: string }
  expect([await fired, mine]).toMatchObject([true, { lock: 'yours' }])
  expect(await it.read(ref, { lockMs: HOUR_MS, node: 'n1' }), 'a second load of that node').toMatchObject({
    lock: 'held',
  })

  const made = anEntry(ref)
  fired = over.lose(fillScript)
  expect([await it.tier.fill(ref, mine.lease, made, 'n1'), await fired]).toMatchObject([{ stored: true }, true])
  expect(bodyOf(await it.read(ref))).toBe(String(made.body))
  expect(await it.read(ref, { lockMs: HOUR_MS, refresh: true }), 'the lock is free').toMatchObject({ lock: 'yours' })

  fired = over.lose(bumpScript)
  const { stamp } = await it.bump('declared')
  expect(await fired).toBe(true)
  expect(bodyOf(await it.read(ref))).toBeUndefined()
  expect(stamp.split(':')[1]).toBe(await over.client.hget(it.keys.state, 'c'))

  fired = over.lose(putScript)
  const put = anEntry(ref)
  const bump = await it.tier.put(ref, put, 'n0')
  expect(await fired).toBe(true)
  expect(await it.read(ref)).toMatchObject({ kind: 'hit', fill: put.fill, stamp: bump.stamp })
})

test('a bump whose reply was lost has counted', async () => {
  using client = connect()
  await using over = await losingReplies()
  const prefix = somePrefix()
  const [it, cutOff] = [aTier(client, { prefix }), aTier(over.client, { prefix })]
  await cutOff.bump('other') // the server knows the script now
  await it.filled(ref)
  const fired = over.lose(bumpScript)
  const bump = cutOff.bump('declared').catch(() => {})
  expect(await fired).toBe(true)
  over.client.disconnect()
  await bump
  expect((await it.read(ref)).kind).toBe('miss')
})
