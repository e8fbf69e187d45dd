import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { createCache, type CacheOptions, type Caches, type CacheTier, type MemberEvents } from '@keelson/cache'
import { goodSteps, storeOfSteps, type StoreOfSteps } from '../src/conformance/store-of-steps.ts'

type Method = 'read' | 'fill' | 'put' | 'bump' | 'unlock' | 'extend' | 'join' | 'renew' | 'ping'

/** What a test does to the calls of one node. */
interface Line {
  /** Awaited before a call reaches the store, if there is anything to wait for. */
  before: (method: Method) => Promise<unknown> | undefined
  /** Awaited before the answer of a call comes back. */
  after: (method: Method) => Promise<unknown> | undefined
  /** Awaited before an invalidation is heard. */
  hears: () => Promise<unknown> | undefined
  /** Of the newest join. */
  events: MemberEvents | undefined
  /** Calls that reached the store. */
  readonly calls: Method[]
}

export interface LeasedNode {
  readonly caches: Caches
  readonly line: Line
}

/** Nodes of one process over one leased store, on a clock that moves when it is told to. */
export interface Leased extends AsyncDisposable {
  readonly clock: VirtualClock
  readonly server: StoreOfSteps
  /** Not started. */
  node(o?: Partial<CacheOptions>): LeasedNode
  started(o?: Partial<CacheOptions>): Promise<LeasedNode>
  /** What `work` answers; time goes on for as long as that takes. */
  during<T>(work: Promise<T>): Promise<T>
}

const NAME = 'leased'
export const LEASE_MS = 1_000
const STEP_MS = 20
export const away = async (): Promise<never> => {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
}

export function leased(): Leased {
  const clock = virtualClock()
  const server = storeOfSteps(goodSteps, clock)
  const nodes: Caches[] = []

  function node(o: Partial<CacheOptions> = {}): LeasedNode {
    const line: Line = {
      before: () => undefined,
      after: () => undefined,
      hears: () => undefined,
      events: undefined,
      calls: [],
    }
    const store = {
      kind: 'redis',
      open: (name, o) => onLine(server.store.open(name, o), line),
    } as const satisfies CacheOptions['store']
    const caches = createCache({ name: NAME, store, clock, jitter: 0, early: 0, lease: LEASE_MS, ...o })
    nodes.push(caches)
    return { caches, line }
  }

  return {
    clock,
    server,
    node,
    async started(o) {
      const made = node(o)
      await made.caches.start()
      return made
    },
    async during(work) {
      let isOver = false
      const over = (): void => void (isOver = true)
      work.then(over, over)
      for (;;) {
        await settled()
        if (isOver) return work
        await clock.advance(STEP_MS)
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(async (each) => each.close()))
    },
  }
}

function onLine(tier: CacheTier, line: Line): CacheTier {
  function through<A extends unknown[], T>(method: Method, call: (...args: A) => Promise<T>) {
    return async (...args: A): Promise<T> => {
      const before = line.before(method)
      if (before !== undefined) await before
      line.calls.push(method)
      const answer = await call(...args)
      const after = line.after(method)
      if (after !== undefined) await after
      return answer
    }
  }
  return {
    ...tier,
    read: through('read', tier.read),
    fill: through('fill', tier.fill),
    put: through('put', tier.put),
    bump: through('bump', tier.bump),
    unlock: through('unlock', tier.unlock),
    extend: through('extend', tier.extend),
    ping: through('ping', tier.ping),
    join: through('join', async (name: string, o: Parameters<NonNullable<CacheTier['join']>>[1]) => {
      line.events = o.on
      const bump: MemberEvents['bump'] = (message) => {
        const late = line.hears()
        if (late === undefined) o.on.bump(message)
        else void late.then(() => o.on.bump(message))
      }
      const member = await tier.join!(name, { ...o, on: { ...o.on, bump } })
      return { ...member, renew: through('renew', () => member.renew()) }
    }),
  }
}

/** Lets messages arrive, and all that needs no time happen. */
export async function settled(turns = 30): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}
