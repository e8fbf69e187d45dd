import type { Actor, EntryInput } from '@keelson/audit'
import type { Principal } from '@keelson/kernel'
import { builtin } from '../builtin.ts'
import type { Exchange } from '../exchange.ts'

/** Somebody whom nothing proves: his address is known, and no name that he gave counts. */
const ANONYMOUS: Actor = { type: 'anonymous', id: 'anonymous' }

/** What is told of one request. */
interface About extends Pick<EntryInput, 'scope' | 'action'> {
  readonly outcome: NonNullable<EntryInput['outcome']>
  readonly principal: Principal | undefined
  /** Of the client. */
  readonly address: string
  readonly target?: EntryInput['target'] | undefined
  /** Of its answer, if there is one. */
  readonly status?: number | undefined
  /** The id of the entry that told of it before. */
  readonly intent?: string | undefined
}

/** The entry of a request; never a body. */
export function entryOf(
  { method, route }: Pick<Exchange, 'method' | 'route'>,
  { scope, action, outcome, principal, address, target, status, intent }: About,
): EntryInput {
  return {
    scope,
    action,
    actor: principal === undefined ? ANONYMOUS : actorOf(principal),
    ...(target === undefined ? {} : { target }),
    outcome,
    // A socket of Unix has none.
    where: { ...(builtin.net.isIP(address) === 0 ? {} : { ip: address }), method, route },
    data: { ...(status === undefined ? {} : { status }), ...(intent === undefined ? {} : { intent }) },
  }
}

function actorOf({ id, type = 'user', name, roles }: Principal): Actor {
  return { type, id, ...(name === undefined ? {} : { name }), ...(roles === undefined ? {} : { roles }) }
}
