import type { RunCall } from './call.ts'
import { unwrap } from './outcome.ts'
import type { Run } from './run.ts'

/** How the arguments of a function name its call. */
export interface WrapOptions<A extends unknown[]> {
  readonly op: string
  readonly scope: (...args: A) => string
  readonly key: (...args: A) => string
  /** What a repeat must equal. */
  readonly input?: (...args: A) => unknown
}

/** A function that runs once per key; a refusal is thrown as IdempotencyError. */
export function wrap<A extends unknown[], T>(
  run: Run,
  fn: (...args: A) => Promise<T>,
  { op, scope, key, input }: WrapOptions<A>,
): (...args: A) => Promise<T> {
  return async (...args) => {
    const named = { op, scope: scope(...args), key: key(...args) }
    const call: RunCall<T> = input === undefined ? named : { ...named, input: input(...args) }
    return unwrap(await run(call, () => fn(...args)))
  }
}
