import type { PushQuery, PushState, SyncStore } from '../../store.ts'

const BACK = new Error('it was only looked at')

/** What a push of this would read; nothing is written. */
export async function peek(store: SyncStore, q: PushQuery): Promise<PushState> {
  let seen: PushState | undefined
  const look = store.push(q, async ({ state }) => {
    seen = state
    throw BACK
  })
  await look.catch((error: unknown) => {
    if (error !== BACK) throw error
  })
  return seen!
}
