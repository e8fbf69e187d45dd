import { setTimeout as sleep } from 'node:timers/promises'
import { startReceiver, type Answer, type ReceivedRequest, type Receiver } from '@keelson/webhooks/testing'
import { standard } from '@keelson/webhooks/verify'

/** One request that came. */
export interface Receipt {
  readonly id: string
  readonly path: string
  /** The process that sent it. */
  readonly by: string
  readonly body: string
  readonly data: any
  readonly atMs: number
  readonly sentS: number
}

/** A receiver that counts. Its endpoints are paths; what they get must be signed with their secret. */
export interface Tally extends AsyncDisposable {
  readonly receiver: Receiver
  readonly url: (path: string) => string
  /** In order of arrival. */
  readonly receipts: readonly Receipt[]
  /** Ids that came, each once. */
  readonly ids: ReadonlySet<string>
  /** Requests of this process that have no answer yet. */
  openOf(node: string): number
  /** The most requests at once that this path has seen. */
  mostOf(path: string): number
  /** Requests whose signature was wrong. */
  readonly unsigned: readonly string[]
  /** The secret of a path. */
  expect(path: string, secret: string): void
}

/** Each request is held for some of `holdMs`, then answered 204 unless `answer` says otherwise. */
export async function startTally(
  holdMs: readonly [number, number] = [0, 0],
  answer: (receipt: Receipt) => Promise<Answer | void> | Answer | void = () => {},
): Promise<Tally> {
  const receiver = await startReceiver()
  const receipts: Receipt[] = []
  const ids = new Set<string>()
  const open = new Map<string, number>()
  const most = new Map<string, number>()
  const unsigned: string[] = []
  const secrets = new Map<string, string>()

  const add = (name: string, by: number): number => {
    const count = (open.get(name) ?? 0) + by
    open.set(name, count)
    return count
  }

  async function take(request: ReceivedRequest): Promise<Answer> {
    const { path, headers, body, at } = request
    const by = headers['user-agent'] ?? ''
    const here = add(path, 1)
    most.set(path, Math.max(most.get(path) ?? 0, here))
    add(by, 1)
    const id = String(headers['webhook-id'])
    try {
      const secret = secrets.get(path)
      if (secret !== undefined) standard({ secrets: [secret], tolerance: '1d' }).verify({ body, headers })
    } catch {
      unsigned.push(id)
    }
    const text = Buffer.from(body).toString()
    const { data } = JSON.parse(text) as { data: unknown }
    const sentS = Number(headers['webhook-timestamp'])
    const receipt: Receipt = { id, path, by, body: text, data, atMs: at.getTime(), sentS }
    receipts.push(receipt)
    ids.add(id)
    try {
      const [leastMs, mostMs] = holdMs
      if (mostMs > 0) await sleep(leastMs + Math.random() * (mostMs - leastMs))
      return (await answer(receipt)) ?? 204
    } finally {
      add(path, -1)
      add(by, -1)
    }
  }
  receiver.answer(take)

  return {
    receiver,
    url: (path) => receiver.url + path,
    receipts,
    ids,
    openOf: (node) => open.get(node) ?? 0,
    mostOf: (path) => most.get(path) ?? 0,
    unsigned,
    expect: (path, secret) => void secrets.set(path, secret),
    [Symbol.asyncDispose]: () => receiver.close(),
  }
}
