import { checkOptions, opt, systemClock, type Clock } from '@keelson/kernel'
import { SyncError } from '../error.ts'

const SPEC = { clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock) }

/** @throws SyncError OPTION_INVALID */
export function checkMemoryOptions(o: { readonly clock?: Clock }): { readonly clock: Clock } {
  return checkOptions('memoryStore', o, SPEC, (message) => new SyncError('OPTION_INVALID', message))
}
