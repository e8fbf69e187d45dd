import type { Clock } from '@keelson/kernel/core'
import type { OpResult, PullRequest } from '../wire.ts'
import type { DeviceClock, Learned } from './device-clock.ts'
import { moving, newName } from './meta.ts'
import { shiftStamp } from '../stamp.ts'
import { MAX_OPS, nextBatch } from './outbox.ts'
import { sizeOf, takePage } from './page.ts'
import { isPending, opEntry, opKey, type Pending, type Replica } from './replica.ts'
import { settle, type Settlement } from './settle.ts'
import { Refused, type Transport } from './transport.ts'

/** What a round came to. */
export interface Round {
  /** Operations that are over. */
  readonly pushed: number
  /** Records that were told. */
  readonly pulled: number
  /** Operations that came to nothing, in this round. */
  readonly issues: number
}

/** What rounds need. */
export interface RoundOptions {
  readonly replica: Replica
  readonly transport: Transport
  readonly device: DeviceClock
  readonly clock: Clock
  readonly tab: string
  readonly priorities: ReadonlyMap<string, number>
  readonly schemaVersion: number | undefined
  onOver(pending: Pending, result: OpResult): void
  onProgress(done: { readonly pushed: number; readonly pulled: number }): void
}

/** A push has so many further chances within its round when the server would not have it yet. */
const CHANCES = 5
const PAGE_ROWS = 500
/** Nobody looks for what became of an edit for as long. */
const LEFT_MS = 3_600_000

/** Sends what is pending, then takes what is new. */
export interface Rounds {
  run(signal: AbortSignal): Promise<Round>
  /** The server would not have something in the last round. What was edited behind its pushes does not count. */
  isBehind(): boolean
  /** Waits for news up to `waitMs`, and takes them. */
  wait(waitMs: number, signal: AbortSignal): Promise<number>
}

export function createRounds(o: RoundOptions): Rounds {
  const { replica, transport, device, priorities } = o
  const collections = [...priorities.keys()].toSorted()
  let maxOps = MAX_OPS
  let isBehind = false

  /** At once: what the device does with an answer takes time of its own. */
  const learned = ({ now }: { readonly now: number }, tookMs: number): Learned =>
    device.learn(now, tookMs, replica.meta.offsetMs)

  /** All that the server has not taken moves with the clock. */
  async function move({ byMs, areWrong }: Learned): Promise<void> {
    if (byMs === 0) return
    await replica.update((meta) => {
      const waiting = areWrong ? [...replica.ops.values()].filter(isPending) : []
      const entries = waiting.map((one) => opEntry({ ...one, op: { ...one.op, h: shiftStamp(one.op.h, byMs) } }))
      return { entries, meta: moving(meta, byMs, areWrong) }
    })
  }

  async function pushOnce(waits: ReadonlyMap<number, number>, signal: AbortSignal): Promise<Settlement | undefined> {
    const sent = nextBatch({ ops: replica.ops, priorities, waits, maxOps })
    if (sent.length === 0) return undefined
    const client = sent[0]!.by
    const request = {
      v: 1 as const,
      client,
      sentAt: Math.round(device.now() + replica.meta.offsetMs),
      ...(o.schemaVersion === undefined ? {} : { schema: o.schemaVersion }),
      ops: sent.map(({ op }) => op),
    }
    try {
      const { body, tookMs } = await transport.push(request, signal)
      const clockError = learned(body, tookMs)
      const settlement = await settled(sent, client, body.results)
      maxOps = Math.min(MAX_OPS, maxOps * 2)
      await move(clockError)
      return settlement
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return await mended(error, sent)
    }
  }

  async function mended(refused: Refused, sent: readonly Pending[]): Promise<Settlement> {
    const [first] = sent
    if (refused.remedy === 'new-name') {
      await rename(first!.by)
      return { over: [], again: new Map([[first!.n, 0]]) }
    }
    const isLarge = refused.remedy === 'say-less'
    if (sent.length > 1 && (isLarge || refused.remedy === 'send-fewer')) {
      maxOps = Math.ceil(sent.length / 2)
      return { over: [], again: new Map() }
    }
    if (!isLarge) throw refused.cause as Error
    return await settled(sent, '', [
      { op: first!.op.op, status: 'rejected', code: 'too-large', detail: refused.message },
    ])
  }

  async function settled(sent: readonly Pending[], client: string, results: readonly OpResult[]): Promise<Settlement> {
    let settlement!: Settlement
    const answered = { client, sent, results, tab: o.tab, ownMs: device.now() }
    const ns = sent.map(({ n }) => n)
    await replica.update((meta, held) => (settlement = settle(replica, meta, held, answered)), ns)
    return settlement
  }

  /** Somebody else's from now on: what may be seen, and sent, is found out anew. */
  async function rename(from: string): Promise<void> {
    await replica.update((meta) => {
      const name = meta.client === from ? newName() : { client: meta.client }
      const waiting = [...replica.ops.values()].filter(isPending)
      return { entries: waiting.map((one) => opEntry({ ...one, by: name.client })), meta: name }
    })
  }

  /** @param isAgain under a new name: a server that takes no name is asked no third time */
  async function pullOnce(
    pushes: number,
    waitMs: number,
    isAgain: boolean,
    signal: AbortSignal,
  ): Promise<{ count: number; more: boolean; isRenamed?: true }> {
    const { client, cursor } = replica.meta
    const request: PullRequest = {
      v: 1,
      client,
      cursor,
      collections,
      limit: PAGE_ROWS,
      ...(waitMs > 0 && { waitMs }),
      ...(o.schemaVersion === undefined ? {} : { schema: o.schemaVersion }),
    }
    try {
      const { body, tookMs } = await transport.pull(request, signal)
      await move(learned(body, tookMs))
      await replica.update((meta) => {
        const step = takePage(replica, meta, { client, cursor, pushes }, body)
        return body.more ? step : { ...step, meta: { ...step.meta, syncedMs: body.now } }
      })
      return { count: sizeOf(body), more: body.more }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      if (error.remedy === 'new-name' && !isAgain) {
        await rename(client)
        return { count: 0, more: true, isRenamed: true }
      }
      if (error.remedy !== 'start-over' || cursor === null) throw error.cause as Error
      await replica.update(() => ({ meta: { cursor: null } }))
      return { count: 0, more: true }
    }
  }

  async function pullAll(signal: AbortSignal, waitMs = 0): Promise<number> {
    let pulled = 0
    // What goes on with the pages of an earlier start knows nothing of what was pushed since.
    const pushes = replica.meta.more ? 0 : replica.meta.pushes
    let isAgain = false
    for (let first = true; ; first = false) {
      const { count, more, isRenamed = false } = await pullOnce(pushes, first ? waitMs : 0, isAgain, signal)
      isAgain = isRenamed
      pulled += count
      if (count > 0) o.onProgress({ pushed: 0, pulled: count })
      if (!more) return pulled
    }
  }

  async function pushAll(signal: AbortSignal): Promise<{ pushed: number; issues: number; left: number }> {
    let waits = new Map<number, number>()
    let [pushed, issues, chances] = [0, 0, CHANCES]
    for (;;) {
      const settlement = await pushOnce(waits, signal)
      if (settlement === undefined) {
        if (waits.size === 0 || chances-- === 0) return { pushed, issues, left: replica.pending.count }
        await o.clock.sleep(Math.max(...waits.values()), signal)
        waits = new Map()
        continue
      }
      for (const [n, afterMs] of settlement.again) if (afterMs > 0) waits.set(n, afterMs)
      if (settlement.over.length > 0) chances = CHANCES
      else if (settlement.again.size > 0 && chances-- === 0) return { pushed, issues, left: replica.pending.count }
      for (const { pending, result } of settlement.over) {
        pushed++
        if (result.status === 'conflict' || result.status === 'rejected') issues++
        o.onOver(pending, result)
      }
      if (settlement.over.length > 0) o.onProgress({ pushed: settlement.over.length, pulled: 0 })
    }
  }

  /** What a tab has settled for another that is not there any more. */
  async function sweep(): Promise<void> {
    const oldMs = device.now() - LEFT_MS
    const left = [...replica.ops.values()].filter(({ over, tab }) => over && (tab === o.tab || over.atMs < oldMs))
    if (left.length > 0) await replica.update(() => ({ entries: left.map(({ n }) => [opKey(n), undefined] as const) }))
  }

  return {
    async run(signal) {
      const early = device.mayHaveSlept ? await pullAll(signal) : 0
      const { pushed, issues, left } = await pushAll(signal)
      isBehind = left > 0
      const pulled = early + (await pullAll(signal))
      await sweep()
      return { pushed, pulled, issues }
    },
    isBehind: () => isBehind,
    wait: (waitMs, signal) => pullAll(signal, waitMs),
  }
}
