import type { Clock } from '@keelson/kernel'

/** What one asked, or why there is nothing. */
export type Asked<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'silence'; readonly code: string; readonly message: string }

const MESSAGE_LENGTH = 500

/** Asks, for at most `timeoutMs`. Never rejects: one that is broken must not take the answers of the others away. */
export async function asked<T>(ask: () => T | Promise<T>, timeoutMs: number, clock: Clock): Promise<Asked<T>> {
  let timer: { cancel(): void } | undefined
  const late = new Promise<Asked<T>>((resolve) => {
    const silence = { kind: 'silence', code: 'NO_ANSWER', message: `no answer within ${timeoutMs} ms` } as const
    timer = clock.timer(() => resolve(silence), timeoutMs, { ref: true })
  })
  try {
    return await Promise.race([(async () => ({ kind: 'answer', value: await ask() }) as const)(), late])
  } catch (error) {
    const { code, message } = (error ?? {}) as Partial<Record<'code' | 'message', unknown>>
    return {
      kind: 'silence',
      code: typeof code === 'string' ? code : 'FAILED',
      message: (typeof message === 'string' ? message : `threw ${typeof error}`).slice(0, MESSAGE_LENGTH),
    }
  } finally {
    timer?.cancel()
  }
}

/** Asks one at a time: who comes meanwhile waits for the same answer, so one that hangs is asked once. */
export function oneAtATime<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= (async () => ask())().finally(() => (running = undefined))
    return running
  }
}
