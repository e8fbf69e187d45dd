import { optionFailure } from './error.ts'
import { shown } from './shown.ts'

const NAME = /^[\w.:-]{1,64}$/

/** A name stands for one thing, in reports and in logs. @throws ResilienceError OPTION_INVALID */
export function checkName(owner: string, name: unknown, taken: readonly string[]): void {
  if (typeof name !== 'string' || !NAME.test(name))
    throw optionFailure(`${owner}: "name" must be 1 to 64 of A-Z a-z 0-9 _ . : - (got ${shown(name)})`)
  if (taken.includes(name)) throw optionFailure(`${owner}: "name" must be new (there is one called '${name}')`)
}
