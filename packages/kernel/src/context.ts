import { AsyncLocalStorage } from 'node:async_hooks'
import { systemClock, type Clock } from './clock.ts'
import type { Principal } from './effect.ts'

/** What is known of the request or job that runs: made by http, read by the cores, required by none. */
export interface KeelsonContext {
  readonly correlationId?: string
  /** W3C Trace Context. */
  readonly traceparent?: string
  /** The scope of the route. */
  readonly tenant?: string
  readonly principal?: Principal
  /** An instant on `clock.monotonic()` of this process, in ms. */
  readonly deadline?: number
  /** Over 0: this work is already somebody's retry. */
  readonly retryAttempt?: number
}

const KEY = Symbol.for('keelson.context')
const shared = globalThis as { [KEY]?: AsyncLocalStorage<KeelsonContext> }
// Two copies of the kernel in one process must see one context.
const storage = (shared[KEY] ??= new AsyncLocalStorage<KeelsonContext>())

/** The context of the running request or job, over one AsyncLocalStorage a process. */
export const context: {
  get(): KeelsonContext | undefined
  /** Runs `fn` with `values` over the outer context; the merged one is frozen. */
  run<T>(values: KeelsonContext, fn: () => T): T
  /** `fn` bound to the context of now, for callbacks that a pool or emitter calls later. */
  bind<F extends (...args: any[]) => any>(fn: F): F
  /** Ms left until the deadline: Infinity without one, never negative. */
  remaining(clock?: Clock): number
} = {
  get: () => storage.getStore(),
  run: (values, fn) => storage.run(Object.freeze({ ...storage.getStore(), ...values }), fn),
  bind<F extends (...args: any[]) => any>(fn: F): F {
    const kept = storage.getStore()
    // `this` passes through, so a bound method stays one.
    return function (this: unknown, ...args: unknown[]) {
      return storage.run(kept as KeelsonContext, () => Reflect.apply(fn, this, args) as unknown)
    } as F
  },
  remaining(clock = systemClock) {
    const deadline = storage.getStore()?.deadline
    return deadline === undefined ? Infinity : Math.max(0, deadline - clock.monotonic())
  },
}
