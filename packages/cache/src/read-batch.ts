import type { Gate } from './gate.ts'
import type { GuardedTier } from './guarded-tier.ts'
import type { Hit, Miss, Ref } from './store.ts'

/** What one read wants. Reads of one tick that want the same are one call of the store. */
interface ReadWish {
  readonly lock: boolean
  readonly body: boolean
  readonly refresh: boolean
}

/** Reads of the shared tier, all of one tick together. */
export interface ReadBatch {
  /**
   * `sent` is called right before the store is asked: what was invalidated later may not be in the answer. Rejects
   * with STORE_UNAVAILABLE.
   */
  read(ref: Ref, wish: ReadWish, sent?: () => void): Promise<Hit | Miss>
}

interface Waiting {
  readonly ref: Ref
  readonly sent: (() => void) | undefined
  readonly answer: PromiseWithResolvers<Hit | Miss>
}

/** What a store takes in one call. */
const MAX_REFS = 1_000

export function createReadBatch(o: {
  readonly shared: GuardedTier
  readonly gate: Gate
  readonly node: string
  readonly lockMs: number
}): ReadBatch {
  const { shared, gate, node, lockMs } = o
  const open = new Map<number, Waiting[]>()

  async function flush(wish: ReadWish, waiting: readonly Waiting[]): Promise<void> {
    try {
      if (!gate.open) await gate.pass()
      for (const { sent } of waiting) sent?.()
      const refs = waiting.map(({ ref }) => ref)
      const answers = await shared.call((tier) =>
        tier.read(refs, { lockMs: wish.lock ? lockMs : 0, node, body: wish.body, refresh: wish.refresh }),
      )
      for (const [i, { answer }] of waiting.entries()) answer.resolve(answers[i]!)
    } catch (error) {
      for (const { answer } of waiting) answer.reject(error)
    }
  }

  return {
    read(ref, wish, sent) {
      const id = (wish.lock ? 1 : 0) + (wish.body ? 2 : 0) + (wish.refresh ? 4 : 0)
      let waiting = open.get(id)
      if (waiting === undefined || waiting.length === MAX_REFS) {
        const made: Waiting[] = []
        waiting = made
        open.set(id, made)
        queueMicrotask(() => {
          if (open.get(id) === made) open.delete(id)
          void flush(wish, made)
        })
      }
      const answer = Promise.withResolvers<Hit | Miss>()
      waiting.push({ ref, sent, answer })
      return answer.promise
    },
  }
}
