import { systemClock, type Clock } from '../clock.ts'

/**
 * What becomes of one call. 'refuse': nothing is sent, the call rejects as by a server that is away. 'hang': nothing is
 * sent, and no answer comes. 'lose reply': it is done, then the call rejects as by a lost connection. 'double': it is
 * done twice, and the second answer counts, as when a client sends again what it had no answer to. `slowMs`: it is sent
 * so many ms later, by `clock` (the system's).
 */
export type Fault = 'refuse' | 'hang' | 'lose reply' | 'double' | { readonly slowMs: number; readonly clock?: Clock }

/** Which calls go wrong: by their number, the first is 1, or by a function of it and of the call's text. */
export type FaultPlan = Readonly<Record<number, Fault>> | ((call: number, text: string) => Fault | undefined)

/** Counts calls: what becomes of the next one. */
export function faultsOf(plan: FaultPlan): (text: string) => Fault | undefined {
  const faultOf = typeof plan === 'function' ? plan : (call: number): Fault | undefined => plan[call]
  let calls = 0
  return (text) => faultOf(++calls, text)
}

/** One call under its fault. */
export async function suffer<T>(fault: Fault | undefined, send: () => Promise<T>): Promise<T> {
  switch (fault) {
    case undefined:
      return send()
    case 'refuse':
      throw connectionError('ECONNREFUSED', 'refused')
    case 'hang':
      return new Promise(() => {})
    case 'lose reply':
      await send().catch(() => {})
      throw connectionError('ECONNRESET', 'lost')
    case 'double':
      await send().catch(() => {})
      return send()
    default:
      await (fault.clock ?? systemClock).sleep(fault.slowMs)
      return send()
  }
}

function connectionError(code: string, what: string): Error {
  return Object.assign(new Error(`the connection was ${what}, on purpose`), { code })
}
