import { AsyncLocalStorage } from 'node:async_hooks'
import { carry, isCorrelationId, resumed } from './carried.ts'
import { systemClock, type Clock } from './clock.ts'
import type { Principal } from './effect.ts'
import { isTraceparent } from './traceparent.ts'

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
const storage: AsyncLocalStorage<KeelsonContext> = (shared[KEY] ??= new AsyncLocalStorage<KeelsonContext>())
/** For what makes spans of operations: a tracing channel binds it. */
export { storage as contextStorage }

/** The context of the running request or job, over one AsyncLocalStorage a process. */
export const context: {
  get(): KeelsonContext | undefined
  /**
   * Runs `fn` with `values` over the outer context; the merged one is frozen. The nearer deadline counts, so work inside
   * is never given more time than is left outside. An invalid `correlationId` (1 to 128 characters of plain text),
   * `traceparent` or deadline is dropped as if it were not given, never repaired.
   */
  run<T>(values: KeelsonContext, fn: () => T): T
  /** `fn` bound to the context of now, for callbacks that a pool or emitter calls later. */
  bind<F extends (...args: any[]) => any>(fn: F): F
  /** Ms left until the deadline: Infinity without one, never negative. */
  remaining(clock?: Clock): number
  /**
   * What a job takes along: correlation id, traceparent, tenant, and the principal as JSON. No deadline and no
   * retryAttempt: they belong to this request.
   */
  carry(): Record<string, string>
  /**
   * In the worker: runs `fn` with what was carried instead of the context around it. Nothing of the outer one stays, so
   * a job of one tenant never runs with the principal or the deadline of another. Invalid and unknown members are
   * dropped; whatever came, `fn` runs.
   */
  resume<T>(carried: Readonly<Record<string, string>>, fn: () => T): T
} = {
  get: () => storage.getStore(),
  run: (values, fn) => storage.run(merged(storage.getStore(), values), fn),
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
  carry: () => carry(storage.getStore() ?? {}),
  resume: (carried, fn) => storage.run(Object.freeze(resumed(carried)), fn),
}

/** One copy, and repairs only where they are needed: this is on the path of each request. */
function merged(outer: KeelsonContext | undefined, values: KeelsonContext): KeelsonContext {
  const all: { -readonly [member in keyof KeelsonContext]: KeelsonContext[member] } = { ...outer, ...values }
  // Stores keep both in a column or a record of theirs, with the caller's own rows.
  if (!isCorrelationId(values.correlationId)) {
    if (outer?.correlationId === undefined) delete all.correlationId
    else all.correlationId = outer.correlationId
  }
  if (!isTraceparent(values.traceparent)) {
    if (outer?.traceparent === undefined) delete all.traceparent
    else all.traceparent = outer.traceparent
  }
  const nearest = Math.min(outer?.deadline ?? Infinity, isInstant(values.deadline) ? values.deadline : Infinity)
  if (nearest !== Infinity) all.deadline = nearest
  else if ('deadline' in all) delete all.deadline
  return Object.freeze(all)
}

function isInstant(value: unknown): value is number {
  return typeof value === 'number' && !Number.isNaN(value)
}
