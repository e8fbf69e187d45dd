/** Servers that agree among themselves tell nobody when they have: so look. */
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 25

/** Polls until `look` answers something defined; a rejection is a no. Throws after `timeoutMs`, with the last one. */
export async function until<T>(what: string, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const endsMs = performance.now() + timeoutMs
  for (;;) {
    let failure: unknown
    const seen = await look().catch((error: unknown) => void (failure = error))
    if (seen !== undefined) return seen
    if (performance.now() > endsMs) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: failure })
    await sleep(POLL_MS)
  }
}
