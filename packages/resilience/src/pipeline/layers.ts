const KEY = Symbol.for('keelson.resilience.layers')

interface Layers {
  /** Grows with each attempt that begins and each error that a pipeline gives up on: what came before what. */
  sequence: number
  readonly givenUp: WeakMap<object, number>
}

// Two copies of this package in one process must see each other's errors.
const shared = globalThis as { [KEY]?: Layers }
const layers = (shared[KEY] ??= { sequence: 0, givenUp: new WeakMap() })

/** The point in the order of things where an attempt begins. */
export function layerMark(): number {
  return ++layers.sequence
}

/** A pipeline that retries has ended with this error. */
export function giveUpOn(error: unknown): void {
  if (isObject(error)) layers.givenUp.set(error, ++layers.sequence)
}

/** Whether another pipeline gave up on it after `mark`: its retries were made already, a layer further in. */
export function wasGivenUp(error: unknown, mark: number): boolean {
  return isObject(error) && (layers.givenUp.get(error) ?? 0) > mark
}

function isObject(error: unknown): error is object {
  return (typeof error === 'object' && error !== null) || typeof error === 'function'
}
