import type { Stand } from './stand.ts'

/** One way to lose a server, and the way back. */
export interface Fault {
  harm(stand: Stand): unknown
  mend(stand: Stand): unknown
  /** New connections work. */
  readonly partial?: true
  /** Only a deadline tells. */
  readonly silent?: true
}

/** By what the server does. */
export const faults: Record<string, Fault> = {
  'is killed': { harm: ({ server }) => server.kill(), mend: ({ server }) => server.restart() },
  'is frozen': { harm: ({ server }) => server.freeze(), mend: ({ server }) => server.thaw(), silent: true },
  'refuses all connections': { harm: ({ proxy }) => proxy.refuse(), mend: ({ proxy }) => proxy.pass() },
  'is slower than storeTimeout': {
    // Also than the outage: an answer that comes in between ends it.
    harm: ({ proxy }) => proxy.delay(10_000),
    mend: ({ proxy }) => proxy.pass(),
    silent: true,
  },
  'does what it is told, but is never heard': { harm: ({ proxy }) => proxy.mute(), mend: reset, silent: true },
  'is not heard on the connections there are': { harm: ({ proxy }) => proxy.halfOpen(), mend: reset, partial: true },
}

/** What a system's keepalive does in the end, or a client's time-out for its socket. */
function reset({ proxy }: Stand): void {
  proxy.pass()
  proxy.resetAll()
}
