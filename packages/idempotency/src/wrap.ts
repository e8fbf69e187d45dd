import { checkOptions, opt } from '@keelson/kernel'
import type { RunCall } from './call.ts'
import { optionFailure } from './error.ts'
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

const SPEC = {
  op: opt.required(opt.string()),
  scope: opt.required(opt.fn()),
  key: opt.required(opt.fn()),
  input: opt.fn(),
}

/**
 * A function that runs once per key; a refusal is thrown as IdempotencyError.
 * @throws IdempotencyError OPTION_INVALID
 */
export function wrap<A extends unknown[], T>(
  run: Run,
  fn: (...args: A) => Promise<T>,
  options: WrapOptions<A>,
): (...args: A) => Promise<T> {
  checkOptions('wrap', options, SPEC, optionFailure)
  const { op, scope, key, input } = options
  return async (...args) => {
    const named = { op, scope: scope(...args), key: key(...args) }
    const call: RunCall<T> = input === undefined ? named : { ...named, input: input(...args) }
    return unwrap(await run(call, () => fn(...args)))
  }
}
