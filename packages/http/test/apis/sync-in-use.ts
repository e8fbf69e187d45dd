import { createSync, memoryStore, type Sync } from '@keelson/sync'

/** A sync with a sample in each family: an operation applied, one in conflict, and a device that has to start over. */
export async function syncInUse(opened: AsyncDisposableStack): Promise<Sync> {
  const task = { fields: { title: 'lww' }, scope: () => 'm1' } as const
  const sync = opened.use(
    createSync({ store: memoryStore(), storeTimeout: '10s', scopes: () => ['m1'], collections: { task } }),
  )
  const who = { principal: { id: 'u1' } }
  const h = `${Date.now().toString(36).padStart(9, '0')}-0000-phone`
  const op = { c: 'task', h, set: { title: 'Call back' } } as const
  await sync.push(who, {
    v: 1,
    client: 'phone',
    sentAt: Date.now(),
    ops: [
      { ...op, op: 'o1', id: 't1', t: 'put' },
      { ...op, op: 'o2', id: 't2', t: 'patch' },
    ],
  })
  const { cursor } = await sync.pull(who, { v: 1, cursor: null })
  await sync.rebase()
  await sync.pull(who, { v: 1, cursor }).catch(() => {})
  return sync
}
