import type { Clock, Status } from '@keelson/kernel'
import { asked, oneAtATime } from './asked.ts'

/** Something to look at. */
interface Inspected {
  inspect(): Promise<Status>
}

/** How much worse one state is than another. */
const RANK = { ok: 0, degraded: 1, down: 2 } as const

/** Asks all of them; one that rejects, hangs or answers no Status is a row that says so. */
export function statusReader(
  inspected: readonly { readonly fallbackName: string; readonly from: Inspected }[],
  timeoutMs: number,
  clock: Clock,
): () => Promise<Status[]> {
  const readers = inspected.map(({ fallbackName, from }) => {
    const ask = oneAtATime(async () => readable(await from.inspect()))
    // What does not answer has told its name before, maybe.
    let name = fallbackName
    return async (): Promise<Status> => {
      const answer = await asked(ask, timeoutMs, clock)
      if (answer.kind === 'answer') {
        name = answer.value.name
        return answer.value
      }
      const { code, message } = answer
      return { name, state: 'down', counts: {}, lastError: { code, message, at: clock.now() } }
    }
  })
  return () => Promise.all(readers.map((read) => read()))
}

/** The worst of them. */
export function worstOf(states: readonly Status['state'][]): Status['state'] {
  return states.reduce((worst, state) => (RANK[state] > RANK[worst] ? state : worst), 'ok')
}

/** As JSON tells it: what cannot be told must fail here, not the whole answer. */
function readable(status: unknown): Status {
  const told = JSON.parse(JSON.stringify(status) ?? 'null') as Partial<Status> | null
  if (typeof told?.name !== 'string' || told.state === undefined || !Object.hasOwn(RANK, told.state))
    throw new TypeError('inspect() answered no status')
  return { ...told, name: told.name, state: told.state, counts: told.counts ?? {} }
}
