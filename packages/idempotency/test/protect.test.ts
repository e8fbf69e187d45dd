import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createIdempotency,
  reply,
  responseCodec,
  unwrap,
  type Exported,
  type Idempotency,
  type IdempotencyStore,
  type Protection,
  type TransactionalIdempotency,
} from '@keelson/idempotency'
import { context, KeelsonError } from '@keelson/kernel'
import { keyRing } from './key-ring.ts'
import { stores, type OpenStore } from './stores.ts'

const SECRET = 'Ada of Marsh Lane'
const [old, young, foreign] = [randomBytes(32), randomBytes(32), randomBytes(32)]
const corrupt = expect.objectContaining({ name: 'KernelError', code: 'ANSWER_CORRUPT', retryable: false })

/** What the store was given, and what it gave. */
function watched(store: IdempotencyStore): { store: IdempotencyStore; seen(): string } {
  const bytes: Buffer[] = []
  const note = (value: unknown): void => {
    if (value instanceof Uint8Array) bytes.push(Buffer.from(value))
    else if (typeof value === 'object' && value !== null) for (const member of Object.values(value)) note(member)
  }
  const proxied = new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        note(args)
        const answer = Reflect.apply(member, target, args) as unknown
        if (answer instanceof Promise) answer.then(note, () => {})
        return answer
      }
    },
  })
  return { store: proxied, seen: () => Buffer.concat(bytes).toString('latin1') }
}

async function all(records: AsyncIterable<Exported>): Promise<Exported[]> {
  const list: Exported[] = []
  for await (const record of records) list.push(record)
  return list
}

const names = ['memory', 'Redis, ioredis 6', 'PGlite', 'Postgres']
describe.each(names)('%s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  const over = (protect?: Protection, store = opened.store): Idempotency =>
    createIdempotency({ store, storeTimeout: '10s', lease: '1m', ...(protect === undefined ? {} : { protect }) })
  const someCall = () => ({ scope: 'm1', op: 'book', key: randomUUID(), input: 1 })

  test('an answer opens under a rotated key, and the store never saw it', async () => {
    const { store, seen } = watched(opened.store)
    const call = someCall()
    await over(keyRing(old), store).run(call, async () => SECRET)
    for (const keys of [[old], [young, old]]) {
      const again = await over(keyRing(...keys), store).run(call, async () => 'a second run')
      expect(again).toMatchObject({ ok: true, kind: 'replayed', value: SECRET })
    }
    expect(seen().length).toBeGreaterThan(100)
    expect(seen()).not.toContain(SECRET)
  })

  test('without its key an answer is ANSWER_CORRUPT, for all who wait too, and nothing runs again', async () => {
    const call = someCall()
    await over(keyRing(old)).run(call, async () => SECRET)
    let runs = 0
    const wrong = over(keyRing(foreign))
    const asked = Array.from({ length: 5 }, () => wrong.run(call, async () => void runs++))
    for (const answer of await Promise.allSettled(asked))
      expect(answer).toEqual({ status: 'rejected', reason: corrupt })
    await expect(over(keyRing(young)).run(call, async () => void runs++)).rejects.toEqual(corrupt)
    expect(runs).toBe(0)
    expect(await over(keyRing(young, old)).run(call, async () => 'again')).toMatchObject({ value: SECRET })
  })

  test('what was saved is sealed too; without its key the work does not start, and the key stays as it was', async () => {
    const { store, seen } = watched(opened.store)
    const call = someCall()
    const first = over(keyRing(old), store).run(call, async (x) => {
      await x.save('told', { name: SECRET })
      throw new Error('half way')
    })
    await expect(first).rejects.toThrow('half way')
    let runs = 0
    await expect(over(keyRing(foreign), store).run(call, async () => void runs++)).rejects.toEqual(corrupt)
    expect(runs).toBe(0)
    const next = await over(keyRing(young, old), store).run(call, async (x) => x.checkpoint)
    expect(next).toMatchObject({ value: { name: 'told', data: { name: SECRET } } })
    expect(seen()).not.toContain(SECRET)
  })

  test('an answer that an operator gives is sealed as any other', async () => {
    const { store, seen } = watched(opened.store)
    const idempotency = over(keyRing(young), store)
    const call = { ...someCall(), guarantee: 'at-most-once' as const }
    await expect(idempotency.run(call, () => Promise.reject(new Error('who knows')))).rejects.toThrow('who knows')
    expect(await idempotency.resolve(call, { value: SECRET })).toBe(true)
    expect(await idempotency.run(call, async () => 'again')).toMatchObject({ kind: 'replayed', value: SECRET })
    expect(seen()).not.toContain(SECRET)
  })

  // Redis lists none.
  if (name !== 'Redis, ioredis 6')
    test('and what an operator ends by its id, with its scope', async () => {
      const idempotency = over(keyRing(young))
      const call = { ...someCall(), guarantee: 'at-most-once' as const }
      await expect(idempotency.run(call, () => Promise.reject(new Error('who knows')))).rejects.toThrow('who knows')
      const rows = await idempotency.stuck()
      const { id } = rows!.at(-1)!
      await expect(idempotency.resolve({ id }, { value: SECRET })).rejects.toMatchObject({ code: 'SCOPE_INVALID' })
      expect(await idempotency.resolve({ id, scope: call.scope }, { value: SECRET })).toBe(true)
      expect(await idempotency.run(call, async () => 'again')).toMatchObject({ kind: 'replayed', value: SECRET })
    })

  test('bytes that were moved to another record do not open there', async () => {
    const idempotency = over(keyRing(old))
    const [mine, theirs] = [someCall(), someCall()]
    await idempotency.run(mine, async () => SECRET)
    let taken: Uint8Array | undefined
    const thief: Protection = { ...keyRing(old), open: async (bytes) => (taken = bytes) }
    await over(thief)
      .run(mine, async () => '')
      .catch(() => {})
    await over({ ...keyRing(old), seal: async () => taken! }).run(theirs, async () => '')
    await expect(idempotency.run(theirs, async () => 'again')).rejects.toEqual(corrupt)
  })

  test('keys that are away for now are told as what they are', async () => {
    const call = someCall()
    await over(keyRing(old)).run(call, async () => SECRET)
    const away = (): Promise<never> => Promise.reject(new KeelsonError('KEYS_AWAY', 'the vault', { retryable: true }))
    const later = over({ seal: away, open: away })
    await expect(later.run(call, async () => 'again')).rejects.toMatchObject({ code: 'KEYS_AWAY', retryable: true })
  })

  test('a person is exported with what opens it, and erased without a key', async () => {
    const idempotency = over(keyRing(old))
    const subject = `ada-${randomUUID()}`
    const call = { ...someCall(), subject }
    await idempotency.run(call, async () => ({ to: SECRET }))
    await expect(
      idempotency.run({ ...someCall(), subject }, async (x) => {
        await x.save('half', SECRET)
        throw new Error('later')
      }),
    ).rejects.toThrow('later')
    await idempotency.run({ ...someCall(), subject: 'bob' }, async () => 'of bob')
    await idempotency.run({ ...someCall(), scope: 'm2', subject }, async () => 'of another scope')

    const held = await all(over(keyRing(young, old)).exportSubject('m1', subject))
    expect(held.map(({ kind, bytes }) => [kind, JSON.parse(Buffer.from(bytes).toString()) as unknown])).toEqual(
      expect.arrayContaining([
        ['answer', { to: SECRET }],
        ['checkpoint', { name: 'half', data: SECRET }],
      ]),
    )
    expect(held).toHaveLength(2)
    await expect(all(over(keyRing(foreign)).exportSubject('m1', subject))).rejects.toEqual(corrupt)

    expect(await over(keyRing(foreign)).eraseSubject('m1', subject)).toEqual({ answers: 2 })
    expect(await idempotency.eraseSubject('m1', subject)).toEqual({ answers: 0 })
    expect(await all(idempotency.exportSubject('m1', subject))).toEqual([])
    expect(await idempotency.run(call, async () => 'again')).toMatchObject({ code: 'ANSWER_NOT_RETAINED' })
    expect(await all(idempotency.exportSubject('m2', subject))).toHaveLength(1)
  })

  test('a principal with a long id is a person too', async () => {
    const idempotency = over()
    const id = `https://id.example/${randomUUID()}|${'x'.repeat(440)}`
    const run = () => idempotency.run({ ...someCall(), by: id }, async () => 'about them')
    expect(unwrap(await context.run({ principal: { id } }, run))).toBe('about them')
    expect(await all(idempotency.exportSubject('m1', id))).toHaveLength(1)
    expect(await idempotency.eraseSubject('m1', id)).toEqual({ answers: 1 })
  })

  test('whom and what is asked for must be named', async () => {
    const idempotency = over()
    await expect(idempotency.eraseSubject('', 'ada')).rejects.toMatchObject({ code: 'SCOPE_INVALID' })
    await expect(idempotency.eraseSubject('m1', '')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(all(idempotency.exportSubject('m1', undefined as never))).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
  })
})

describe.each(['PGlite', 'Postgres'])('transaction() on %s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  const over = (protect: Protection): TransactionalIdempotency =>
    createIdempotency({ store: opened.store, storeTimeout: '10s', protect }) as TransactionalIdempotency

  test('the same: rotated, wrong, exported, erased', async () => {
    const call = { scope: 'm1', op: 'POST /orders', key: randomUUID(), subject: `ada-${randomUUID()}` }
    let runs = 0
    const order = (protect: Protection) =>
      over(protect).transaction(call, async () => {
        runs++
        return reply(201, { to: SECRET })
      })
    const first = unwrap(await order(keyRing(old)))
    expect(unwrap(await order(keyRing(young, old)))).toEqual(first)
    for (const key of [foreign, young]) await expect(order(keyRing(key))).rejects.toEqual(corrupt)
    expect(runs).toBe(1)

    const [held] = await all(over(keyRing(young, old)).exportSubject('m1', call.subject))
    expect(held).toMatchObject({ kind: 'answer', op: 'POST /orders' })
    expect(responseCodec.decode(held!.bytes)).toEqual(first)
    expect(await over(keyRing(young)).eraseSubject('m1', call.subject)).toEqual({ answers: 1 })
    expect(await order(keyRing(foreign))).toMatchObject({ ok: false, code: 'ANSWER_NOT_RETAINED' })
    expect(runs).toBe(1)
  })

  test('an answer that cannot be sealed is not committed, and its key is free', async () => {
    const call = { scope: 'm1', op: 'POST /orders', key: randomUUID() }
    const away = (): Promise<never> => Promise.reject(new Error('no key'))
    const refused = over({ ...keyRing(old), seal: away }).transaction(call, async () => reply(201, 1))
    await expect(refused).rejects.toThrow('no key')
    expect(await over(keyRing(old)).find(call)).toBeNull()
    expect(await over(keyRing(old)).transaction(call, async () => reply(201, 2))).toMatchObject({ kind: 'executed' })
  })
})

test('a store that knows no subjects says so', async () => {
  const { ofSubject: _, ...store } = (await stores['memory']!()).store
  const idempotency = createIdempotency({ store })
  await expect(idempotency.eraseSubject('m1', 'ada')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
})
