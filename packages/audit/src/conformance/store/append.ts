import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import { onStage } from '../stage.ts'

export const appendCases: readonly Case<StoreUnderTest>[] = [
  onStage('what is durable is sealed in its order, densely, from 0', async ({ append, seal, read, equal }) => {
    const rows = await append({ action: 'a.a' }, { action: 'b.b' }, { action: 'c.c' })
    equal(await seal(), 3)
    const sealed = await read()
    equal(
      sealed.map(({ leaf }) => [leaf.index, leaf.id, leaf.action]),
      rows.map(({ id }, i) => [i, id, ['a.a', 'b.b', 'c.c'][i]]),
    )
    equal(
      sealed.map(({ bytes }) => Buffer.from(bytes!).toString()),
      rows.map(({ bytes }) => Buffer.from(bytes).toString()),
    )
  }),

  onStage('one append of many keeps their order', async ({ store, log, row, seal, read, equal }) => {
    const rows = Array.from({ length: 300 }, () => row())
    await store.append(log, rows)
    equal(await seal(), 300)
    equal(
      (await read()).map(({ leaf }) => leaf.id),
      rows.map(({ id }) => id),
    )
  }),

  onStage('an empty append is nothing', async ({ store, log, seal, equal }) => {
    await store.append(log, [])
    equal(await seal(), 0)
  }),

  onStage('a known id with the same bytes is done already, sealed or not', async (stage) => {
    const { store, peer, log, append, seal, equal } = stage
    const [row] = await append({})
    await store.append(log, [row!])
    await peer.append(log, [row!, row!])
    equal(await seal(), 1)
    await store.append(log, [row!])
    equal(await seal(), 0)
  }),

  onStage('a known id with other bytes is refused, and with it all that came along', async (stage) => {
    const { store, log, row, append, seal, rejects, equal } = stage
    const [known] = await append({})
    const other = { ...row(), id: known!.id }
    await rejects(store.append(log, [row(), other]), 'ENTRY_INVALID')
    equal(await seal(), 1)
    await rejects(store.append(log, [other, row()]), 'ENTRY_INVALID')
    equal(await seal(), 0)
  }),

  onStage('two entries of one id in one append are one if they are the same, and refused else', async (stage) => {
    const { store, log, row, seal, rejects, equal } = stage
    const one = row()
    await store.append(log, [one, one])
    const [a, b] = [row({ action: 'a.a' }), row({ action: 'b.b' })]
    await rejects(store.append(log, [a, { ...b, id: a.id }]), 'ENTRY_INVALID')
    equal(await seal(), 1)
  }),

  onStage('a hundred at once, half of them twice, are there once', async (stage) => {
    const { store, peer, log, row, seal, read, together, equal } = stage
    const rows = Array.from({ length: 100 }, () => row())
    await together(150, (i) => (i % 2 === 0 ? store : peer).append(log, [rows[i % 100]!]))
    equal(await seal(), 100)
    equal((await read()).map(({ leaf }) => leaf.id).toSorted(), rows.map(({ id }) => id).toSorted())
  }),

  onStage('the bytes are kept as they were, whatever the caller does with his', async (stage) => {
    const { append, row, seal, read, equal } = stage
    const one = row()
    const before = Buffer.from(one.bytes).toString()
    await append(one)
    one.bytes.fill(0)
    await seal()
    equal(Buffer.from((await read())[0]!.bytes!).toString(), before)
  }),

  onStage('an entry of 65,535 bytes is kept whole', async ({ append, row, seal, read, equal }) => {
    const one = row({ data: { text: 'x'.repeat(64_000) } })
    await append(one)
    await seal()
    const [kept] = await read()
    equal(Buffer.compare(kept!.bytes!, one.bytes), 0)
  }),

  onStage('logs know nothing of each other', async ({ store, log, append, seal, read, row, equal }) => {
    await append({})
    const other = `${log}-b`
    await store.append(other, [row()])
    equal(await seal(), 1)
    equal((await read()).length, 1)
    equal((await store.head(other)).size, 0)
    equal(await store.read(other, 0, { entries: 10, bytes: 1_000_000 }), [])
  }),

  onStage(
    'a store that knows no transactions refuses one',
    async ({ store, log, row, rejects }) => {
      const tx = { query: async () => ({ rows: [] }) }
      await rejects(store.append(log, [row()], tx), 'STORE_NOT_TRANSACTIONAL')
    },
    ['no transactions'],
  ),

  onStage(
    'what is written in a transaction is there when it commits, and never if it does not',
    async ({ store, log, db, row, seal, equal }) => {
      const [kept, undone] = [row(), row()]
      await db!.transaction(async (tx) => {
        await store.append(log, [kept], tx)
        for (const { text, values } of store.statements!(log, [row()])) await tx.query(text, values)
      })
      const rolledBack = await db!
        .transaction(async (tx) => {
          await store.append(log, [undone], tx)
          throw new Error('undone')
        })
        .catch((error: Error) => error.message)
      equal(rolledBack, 'undone')
      equal(await seal(), 2)
      equal(await store.find(log, undone.id), null)
    },
    ['transactions'],
  ),
]
