import type { IdempotencyStore } from '@keelson/idempotency'
import type { VirtualClock } from '@keelson/kernel/testing'
import type { Process } from './process.ts'

/**
 * What becomes of one command. 'refused': never sent. 'hung': never sent, never answered. 'lost': done, and the
 * connection ends before the reply. 'mute': done, never answered. 'doubled': done again `againMs` later.
 */
export interface Fate {
  readonly kind: 'well' | 'refused' | 'hung' | 'lost' | 'mute' | 'doubled'
  readonly outMs: number
  readonly backMs: number
  readonly againMs: number
}

export const WELL: Fate = { kind: 'well', outMs: 1, backMs: 1, againMs: 0 }

/** A store as a process sees it, over a network where each command has its fate. */
export function acrossNetwork(
  store: IdempotencyStore,
  world: VirtualClock,
  { seen, receive }: Process,
  nextFate: () => Fate,
): IdempotencyStore {
  const after = (delayMs: number): Promise<void> => new Promise((resolve) => void world.timer(resolve, delayMs))
  const never = <T>(): Promise<T> => new Promise(() => {})

  async function travel<T>(command: () => Promise<T>): Promise<T> {
    const { kind, outMs, backMs, againMs } = nextFate()
    if (kind === 'refused') throw gone('ECONNREFUSED')
    if (kind === 'hung') return never()
    await after(outMs)
    const reply = await command()
    if (kind === 'doubled') world.timer(() => void command(), againMs)
    if (kind === 'mute') return never()
    await after(backMs)
    if (kind === 'lost') throw gone('ECONNRESET')
    return reply
  }
  const ask = <T>(command: () => Promise<T>): Promise<T> => seen(travel(command))

  return {
    transactional: false,
    begin: (ref, claim) => ask(() => store.begin(ref, claim)),
    settle: (ref, own, as, retainMs) => ask(() => store.settle(ref, own, as, retainMs)),
    touch: (ref, own, leaseMs, checkpoint) => ask(() => store.touch(ref, own, leaseMs, checkpoint)),
    peek: (ref) => ask(() => store.peek(ref)),
    clear: (ref, how) => ask(() => store.clear(ref, how)),
    health: (limit) => ask(() => store.health(limit)),
    wait: (ref, signal) => new Promise((resolve) => void store.wait!(ref, signal).then(() => receive(() => resolve()))),
  }
}

function gone(code: string): Error {
  return Object.assign(new Error(`the store is away: ${code}`), { code })
}
