import { setImmediate } from 'node:timers/promises'
import { uuidv7 } from '@keelson/kernel'
import { fileStore } from '../../src/file/index.ts'
import { fold } from './fake-tree.ts'
import { LOG, rowOf } from './killed.ts'

/** Appends as 16 callers do and seals meanwhile, until it dies; tells each id that is acknowledged. */
const store = fileStore({ dir: process.env['DIR'] ?? '', segmentBytes: 1 << 17, appendTimeout: '60s' })
process.on('disconnect', () => process.exit())
await store.head(LOG)
process.send?.({ ready: true })

async function caller(): Promise<never> {
  for (let n = 0; ; n++) {
    const rows = Array.from({ length: n % 10 === 9 ? 5 : 1 }, () => rowOf(uuidv7(), n % 4 === 0))
    await store.append(LOG, rows)
    process.send?.({ acked: rows.map(({ id }) => id) })
  }
}
async function sealer(): Promise<never> {
  for (;;) {
    await store.seal(LOG, 50, fold)
    const { size } = await store.head(LOG)
    await store.publish(LOG, { size, note: `note ${size}` })
    process.send?.({ size })
    await setImmediate()
  }
}
await Promise.all([sealer(), ...Array.from({ length: 16 }, caller)])
