/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { expectTypeOf, test } from 'vitest'
import { createSyncClient, memoryStore, type Issue, type OpRef, type SyncClient } from '@keelson/sync/client'
import { fileStore } from '@keelson/sync/client/file'
import { indexedDbStore } from '@keelson/sync/client/indexeddb'
import type { OpResult } from '@keelson/sync'

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use
declare const client: SyncClient
interface Task {
  team: string
  title: string
  done?: boolean
}

test('a collection knows its documents', () => {
  compiled(async () => {
    const tasks = client.collection<Task>('task')
    expectTypeOf(await tasks.get('t1')).toEqualTypeOf<Task | undefined>()
    expectTypeOf(await tasks.all()).toEqualTypeOf<{ id: string; doc: Task; pending: boolean }[]>()
    const ref = await tasks.put('t1', { team: '1', title: 'Call' })
    expectTypeOf(ref).toEqualTypeOf<OpRef>()
    expectTypeOf(await ref.settled).toEqualTypeOf<OpResult>()
    await tasks.patch('t1', { done: true }, { unset: ['title'], dep: ref.op })
    // @ts-expect-error a document has all its fields
    await tasks.put('t1', { team: '1' })
    // @ts-expect-error there is no such field
    await tasks.patch('t1', { titel: 'x' })
    // @ts-expect-error a field has its type
    await tasks.patch('t1', { done: 'yes' })
    // @ts-expect-error there is no such field
    await tasks.patch('t1', {}, { unset: ['titel'] })
    // @ts-expect-error a document is an object
    client.collection<string>('task')
    // @ts-expect-error the id is a text
    await tasks.get(1)
  })
})

test('events have their values', () => {
  compiled(() => {
    client.on('lost', ({ c, id, fields }) => expectTypeOf({ c, id, fields: [...fields] }).toEqualTypeOf<Lost>())
    client.on('issue', (issue) => expectTypeOf(issue).toEqualTypeOf<Issue>())
    client.on('progress', ({ pending }) => expectTypeOf(pending).toEqualTypeOf<number>())
    expectTypeOf(client.on('status', () => {})).toEqualTypeOf<() => void>()
    // @ts-expect-error there is no such event
    client.on('synced', () => {})
    // @ts-expect-error the status is one of six
    return client.status().state === 'online'
  })
})
interface Lost {
  c: string
  id: string
  fields: string[]
}

test('options that a browser and a server give', () => {
  compiled(() => {
    const collections = { task: { priority: 1 }, note: {} }
    createSyncClient({ url: '/sync', store: indexedDbStore('app'), collections, live: true })
    createSyncClient({ url: '/sync', store: fileStore('here'), collections, interval: false, retry: { max: '1m' } })
    createSyncClient({ url: '/sync', store: memoryStore(), collections, headers: async () => new Headers(), fetch })
    // @ts-expect-error a store is required
    createSyncClient({ url: '/sync', collections })
    // @ts-expect-error headers are asked for
    createSyncClient({ url: '/sync', store: memoryStore(), collections, headers: { authorization: 'x' } })
    // @ts-expect-error that is no duration
    createSyncClient({ url: '/sync', store: memoryStore(), collections, interval: 'soon' })
    // @ts-expect-error there is no such option
    createSyncClient({ url: '/sync', store: memoryStore(), collections, intervall: '1s' })
    // @ts-expect-error the server's store is none of a device
    createSyncClient({ url: '/sync', store: { pull: async () => {} }, collections })
  })
})
