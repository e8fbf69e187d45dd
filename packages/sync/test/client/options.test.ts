import { expect, test } from 'vitest'
import { createSyncClient, memoryStore, type SyncClientOptions } from '@keelson/sync/client'

const good = { url: '/sync', store: memoryStore(), collections: { task: {} } }

test.each<[option: string, wrong: object]>([
  ['url', { url: '' }],
  ['url', { url: new URL('http://sync.test') }],
  ['store', { store: undefined }],
  ['store', { store: {} }],
  ['collections', { collections: undefined }],
  ['collections', { collections: {} }],
  ['collections', { collections: { Task: {} } }],
  ['collections.task', { collections: { task: null } }],
  ['collections.task', { collections: { task: true } }],
  ['collections.task.priority', { collections: { task: { priority: Number.NaN } } }],
  ['collections.task.priority', { collections: { task: { priority: '1' } } }],
  ['headers', { headers: { authorization: 'Bearer x' } }],
  ['fetch', { fetch: 'fetch' }],
  ['interval', { interval: '30 seconds' }],
  ['interval', { interval: 0 }],
  ['interval', { interval: -1 }],
  ['interval', { interval: true }],
  ['live', { live: 'yes' }],
  ['locks', { locks: {} }],
  ['clock', { clock: Date }],
  ['retry', { retry: '1s' }],
  ['retry.min', { retry: { min: 0 } }],
  ['retry.max', { retry: { max: 'x' } }],
  ['retry.most', { retry: { most: '1s' } }],
  ['schemaVersion', { schemaVersion: 0 }],
  ['schemaVersion', { schemaVersion: 1.5 }],
  ['intervall', { intervall: '1s' }],
])('%s: refused at once, by its name', (option, wrong) => {
  const options = { ...good, ...wrong } as unknown as SyncClientOptions
  expect(() => createSyncClient(options)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(option) }),
  )
})

test.each([undefined, null, 'sync'])('%j are no options', (options) => {
  expect(() => createSyncClient(options as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})

test('undefined is as good as nothing', () => {
  const { headers, locks, clock, live, retry } = {} as Partial<SyncClientOptions>
  expect(() => createSyncClient({ ...good, headers, locks, clock, live, retry } as SyncClientOptions)).not.toThrow()
})
