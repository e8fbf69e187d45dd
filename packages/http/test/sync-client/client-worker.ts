/** A device that edits and syncs at random until it is killed; tells each operation that was kept. */
import { fileStore } from '@keelson/sync/client/file'
import { openDevice, tasks } from './open-device.ts'

const { DIR, PORT } = process.env as Record<string, string>
process.on('disconnect', () => process.exit())
const client = openDevice(Number(PORT), { store: fileStore(DIR!), retry: { min: 1, max: 20 } })
await client.start()
process.send?.({ ready: true })

const below = (n: number): number => Math.floor(Math.random() * n)

async function edits(): Promise<never> {
  for (;;) {
    const id = `t${below(12)}`
    const text = `${process.pid} ${'é'.repeat(below(300))}`
    const { op } = await [
      () => tasks(client).put(id, { title: text }),
      () => tasks(client).patch(id, { text }),
      () => tasks(client).patch(id, { done: below(2) === 0 }, { unset: ['text'] }),
      () => tasks(client).delete(id),
    ][below(4)]!()
    process.send?.({ kept: op })
    if (below(10) === 0) await client.sync().catch(() => {})
  }
}
await Promise.all([edits(), edits(), edits()])
