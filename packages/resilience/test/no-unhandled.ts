import { afterAll, expect } from 'vitest'

/** Nothing that this file's tests reject goes unheard. */
export function expectNoUnhandled(): void {
  const unhandled: unknown[] = []
  const onUnhandled = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', onUnhandled)
  afterAll(() => {
    process.off('unhandledRejection', onUnhandled)
    expect(unhandled).toEqual([])
  })
}
