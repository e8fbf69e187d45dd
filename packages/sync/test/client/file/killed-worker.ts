import { fileStore } from '../../../src/client/file/index.ts'

/**
 * Twelve callers enter and settle work as a client does, until the process dies; tells each number that resolved. The
 * values are so long that the log is written anew now and then.
 */
const store = fileStore(process.env['DIR'] ?? '')
process.on('disconnect', () => process.exit())
await store.load()
process.send?.({ ready: true })

async function caller(): Promise<never> {
  for (;;) {
    let n = 0
    await store.update(['last'], ([last = 0]) => {
      n = (last as number) + 1
      const text = 'é'.repeat(1_000 + (n % 3_000))
      return [
        ['last', n],
        [`op/${n}`, { n, text }],
        [`view/${n % 50}`, { n, text }],
        [`op/${n - 50}`, undefined],
      ]
    })
    process.send?.({ resolved: n })
  }
}
await Promise.all(Array.from({ length: 12 }, caller))
