import { afterAll, expect } from 'vitest'

/** Makes the test file fail when a rejection was left unhandled in its process. */
export function watchRejections(): void {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  afterAll(async () => {
    // Node tells of a rejection after the tasks that it was found in.
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
    expect(unhandled).toEqual([])
  })
}
