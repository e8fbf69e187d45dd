import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { aRef, aTier, bodyOf, connect, HOUR_MS } from './a-tier.ts'

const ref = aRef(['user', 7], ['x'.repeat(200), 'y'.repeat(250), 'z'.repeat(250)])

/** It is a miss, in every form of reading; a fill heals it. */
async function isMiss(it: ReturnType<typeof aTier>, why: unknown): Promise<void> {
  for (const body of [true, false]) {
    expect(await it.read(ref, { body }), String(why)).toEqual({ kind: 'miss', lock: 'none', lease: expect.any(String) })
  }
}

test('an entry of a version to come is a miss', async () => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref)
  await client.setrange(it.keys.entry(ref), 0, '\u0002')
  await isMiss(it, 'version 2')
  const healed = await it.filled(ref)
  expect(bodyOf(await it.read(ref))).toBe(String(healed.body))
})

test.each([
  ['a head within one read', aRef('short')],
  ['a head of more', ref],
])('an entry that is cut, or longer than it says, is a miss: %s', async (_, ref) => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref, { body: Buffer.alloc(20) })
  const whole = (await client.getBuffer(it.keys.entry(ref)))!
  expect((await it.read(ref)).kind).toBe('hit')
  for (let bytes = 0; bytes < whole.length; bytes++) {
    await client.set(it.keys.entry(ref), whole.subarray(0, bytes))
    expect((await it.read(ref)).kind, `${bytes} of ${whole.length} bytes`).toBe('miss')
  }
  await client.set(it.keys.entry(ref), Buffer.concat([whole, Buffer.of(0)]))
  expect((await it.read(ref)).kind).toBe('miss')
  await client.set(it.keys.entry(ref), whole)
  expect((await it.read(ref)).kind).toBe('hit')
})

test('an entry whose head and body meet elsewhere than it says is a miss', async () => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref)
  const whole = (await client.getBuffer(it.keys.entry(ref)))!
  for (const shift of [-1, 1]) {
    const moved = Buffer.from(whole)
    moved.writeUInt32BE(whole.readUInt32BE(1) + shift, 1)
    moved.writeUInt32BE(whole.readUInt32BE(5) - shift, 5)
    await client.set(it.keys.entry(ref), moved)
    await isMiss(it, shift)
  }
})

test('bytes of anything else are a miss, and a purge removes them', async () => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref)
  const head = (await client.getBuffer(it.keys.entry(ref)))!.subarray(0, 60)
  const junk = [Buffer.of(1), Buffer.from('{"a":1}'), ...Array.from({ length: 50 }, () => randomBytes(40))]
  for (const bytes of [
    ...junk,
    ...junk.map((each) => Buffer.concat([Buffer.of(1), each])),
    Buffer.concat([head, ...junk]),
  ]) {
    await client.set(it.keys.entry(ref), bytes)
    await isMiss(it, bytes.toString('hex'))
  }
  expect(await it.tier.purge()).toBe(1)
  await client.rpush(it.keys.entry(ref), 'a list')
  await isMiss(it, 'a list')
  const healed = await it.filled(ref)
  expect(bodyOf(await it.read(ref))).toBe(String(healed.body))
})

test('a lock of anything else is no lock', async () => {
  using client = connect()
  const it = aTier(client)
  for (const bytes of [Buffer.alloc(0), Buffer.from('1'), Buffer.from('x'.repeat(40)), randomBytes(60)]) {
    await client.set(it.keys.lock(ref), bytes)
    expect(await it.read(ref, { lockMs: HOUR_MS })).toMatchObject({ lock: 'yours' })
    await client.del(it.keys.lock(ref))
  }
  await client.rpush(it.keys.lock(ref), 'a list')
  expect(await it.read(ref, { lockMs: HOUR_MS })).toMatchObject({ lock: 'yours' })
})

test('a stamp that cannot be read is newer than everything', async () => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref)
  await client.hset(it.keys.state, `t4:acme${ref.declared[0]!}`, 'nonsense')
  await isMiss(it, 'stamp')
})

test('state that lacks a part is no state', async () => {
  using client = connect()
  for (const field of ['id', 'c', 'f', 'r']) {
    const it = aTier(client)
    await it.filled(ref)
    const epoch = await it.tier.epoch()
    await client.hdel(it.keys.state, field)
    await isMiss(it, field)
    expect(await it.tier.epoch()).not.toBe(epoch)
  }
})
