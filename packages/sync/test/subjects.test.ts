import { expect, test } from 'vitest'
import { ann, newStores, openDevice, openSync } from './open-sync.ts'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const SCOPE = 'acme/team:1'
const about = (title: string) => ({ team: '1', title, done: false })

test.each(Object.entries(newStores))(
  'on %s what is about a person is exported in pages and erased at once, whatever else is there',
  async (_, newStore) => {
    await using sync = openSync({ store: await newStore(), task: { subject: ({ title }: { title: string }) => title } })
    const [writer, reader] = [openDevice(sync, ann, 'd1'), openDevice(sync, ann, 'd2')]
    // Two pages and one.
    const ids = Array.from({ length: 1_001 }, (_, i) => `t${String(i).padStart(4, '0')}`)
    for (let from = 0; from < ids.length; from += 500) {
      const ops = ids.slice(from, from + 500).map((id) => writer.op(id, 'put', { set: about('bob') }))
      await writer.push(...ops)
    }
    await writer.push(writer.op('other', 'put', { set: about('eve') }))
    // Whose record it is now counts.
    await writer.push(writer.op(ids[5]!, 'patch', { set: { title: 'eve' } }))
    await reader.pull()
    const exported = await all(sync.exportSubject(SCOPE, 'bob'))
    const bobs = ids.filter((id) => id !== ids[5])
    expect(exported.map(({ id }) => id)).toEqual(bobs)
    expect(exported[0]).toMatchObject({ doc: about('bob') })

    expect(await sync.eraseSubject(SCOPE, 'bob')).toEqual({ records: bobs.length, clients: ['d1'] })
    expect(await all(sync.exportSubject(SCOPE, 'bob'))).toEqual([])
    const pages = await reader.pull()
    const gone = pages.flatMap(({ changes }) => changes['task']?.deleted ?? [])
    expect(gone.map(({ id, why }) => [id, why]).toSorted()).toEqual(bobs.map((id) => [id, 'erased']))
    expect([...reader.records.values()].map(({ id }) => id).toSorted()).toEqual(['other', ids[5]])
    // Nor does who still has it bring it back.
    expect(await writer.push(writer.op(ids[0]!, 'put', { set: about('bob') }))).toMatchObject([
      { status: 'conflict', code: 'gone' },
    ])
    expect(await all(sync.exportSubject(SCOPE, 'eve'))).toHaveLength(2)
  },
)
