import type { Command, Listener, ListenerEvents, Outcome, Send } from './driver.ts'
import { keySlot } from './key-slot.ts'

/** One server of a cluster: a connection of the user's client. */
export interface ClusterNode {
  /** The client's own object for it. */
  readonly id: object
  readonly send: Send
  listen(events: ListenerEvents, signal: AbortSignal): Promise<Listener>
}

/** A cluster client, and what it knows of its nodes at the moment. */
export interface ClusterView {
  /** The master of a slot; null: any master. */
  master(slot: number | null): Promise<ClusterNode | undefined>
  /** The node at `host:port`. */
  at(address: string): Promise<ClusterNode | undefined>
  /** Lets the client find `key` (null: any node) in its own way: it connects, follows redirections, remembers them. */
  learn(key: string | null): Promise<unknown>
}

/** A slot that moves back and forth may redirect us so often; then the error is the answer. */
const MOST_REDIRECTIONS = 5

/**
 * Sends all commands in one flight to the master of the slot of `key`. The first that is redirected, and all behind
 * it, follow the redirection, again in one flight: so WAIT stays on the connection of its write.
 */
export async function sendToMaster(
  view: ClusterView,
  key: string | null,
  commands: readonly Command[],
): Promise<Outcome[]> {
  const done: Outcome[] = []
  let left = commands
  let node = await masterOf(view, key)
  let send = node.send
  for (let redirections = 0; ; redirections++) {
    const outcomes = await send(left)
    const first = outcomes.findIndex((outcome) => redirectionOf(outcome) !== undefined)
    if (first < 0 || redirections === MOST_REDIRECTIONS) return [...done, ...outcomes]
    const { kind, address } = redirectionOf(outcomes[first]!)!
    if (kind === 'ASK') {
      const asked = (await view.at(address)) ?? (await view.learn(key).then(() => view.at(address)))
      if (asked === undefined) return [...done, ...outcomes]
      send = (some) => sendAsking(asked, some)
    } else {
      await view.learn(key)
      node = (key === null ? await view.at(address) : undefined) ?? (await masterOf(view, key))
      send = node.send
    }
    done.push(...outcomes.slice(0, first))
    left = left.slice(first)
  }
}

/** The node that serves `key`, after the client has looked for it when it knows none. */
export async function masterOf(view: ClusterView, key: string | null): Promise<ClusterNode> {
  const slot = key === null ? null : keySlot(key)
  const known = await view.master(slot)
  if (known !== undefined) return known
  await view.learn(key)
  const learned = await view.master(slot)
  if (learned === undefined) throw new Error('CLUSTERDOWN Hash slot not served') // as a server says it
  return learned
}

/** ASKING counts for the next command only, so each one gets its own. */
async function sendAsking(node: ClusterNode, commands: readonly Command[]): Promise<Outcome[]> {
  const outcomes = await node.send(commands.flatMap((command) => [['ASKING'], command]))
  return outcomes.filter((_, i) => i % 2 === 1)
}

/** Reads `MOVED 3999 127.0.0.1:6381`. */
function redirectionOf(outcome: Outcome): { kind: 'MOVED' | 'ASK'; address: string } | undefined {
  if (outcome.kind !== 'error') return undefined
  const [, kind, address] = /^(MOVED|ASK) \d+ (\S+)/.exec(outcome.error.message) ?? []
  return kind === undefined ? undefined : { kind: kind as 'MOVED' | 'ASK', address: address! }
}
