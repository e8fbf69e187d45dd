import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { isKeelsonError } from '@keelson/kernel'
import {
  createWebhooks,
  type Attempt,
  type Delivery,
  type DeliveryStatus,
  type EndpointDefaults,
  type Webhooks,
} from '@keelson/webhooks'
import { until } from '../../../../tools/servers/until.ts'
import { QUICK } from './node.ts'
import { openPlace, type Place } from './place.ts'
import type { Tally } from './tally.ts'

/** For what hangs, not for what is slow. */
export const PATIENCE_MS = 120_000
/** Of a whole test of many waits, each with its own patience: half a minute here takes minutes on a machine that stalls. */
export const SLOW_MS = 900_000
export const SCOPE = 'acme'

/** An application that sends, and delivers nothing itself. */
export interface Sending extends AsyncDisposable {
  readonly webhooks: Webhooks
  /** Ids whose `send` has resolved. */
  readonly acknowledged: ReadonlySet<string>
  /** Endpoints at the paths `/0`, `/1` and so on; the one of a path gets the events of type `to.<its number>`. */
  endpoints(tally: Tally, count: number): Promise<void>
  /**
   * Sends until `more` says no, `lines` at a time, never far ahead of what has arrived. The events of a line go to one
   * path, one after another; those of every other line have its key. What fails is repeated with its id.
   */
  flow(tally: Tally, o: Flow): Promise<void>
  /** Until nothing is open any more. */
  drained(): Promise<void>
  /** Redrives what was given up as poison, until that is delivered; answers the events. Nothing else may be dead. */
  redriven(): Promise<ReadonlySet<string>>
  deliveries(): Promise<Delivery[]>
  attempts(delivery: Delivery): Promise<Attempt[]>
}

/** What is sent. */
interface Flow {
  readonly lines: number
  readonly paths: number
  more(): boolean
  /** Between two events of a line; none by default. */
  rest?(): Promise<unknown>
}

/** Events that have not arrived yet, at most. */
const AHEAD = 100

export async function openSending(place: Place, endpoint: EndpointDefaults = {}): Promise<Sending> {
  const opened = await openPlace(place)
  const webhooks = createWebhooks({
    ...QUICK,
    store: opened.store,
    encryption: 'plaintext',
    storeTimeout: '5s',
    endpoint: { ...QUICK.endpoint, ...endpoint },
  })
  const acknowledged = new Set<string>()
  let sent = 0
  /** How many events each line has had. */
  const lengths = new Map<number, number>()

  async function send(line: number, path: number, n: number, keyed: boolean): Promise<void> {
    const id = `m${sent++}`
    for (;;) {
      try {
        const options = { scope: SCOPE, id, ...(keyed ? { key: `k${line}` } : {}) }
        await webhooks.send(`to.${path}`, { line, n, keyed }, options)
        acknowledged.add(id)
        return
      } catch (error) {
        if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
        await sleep(50)
      }
    }
  }

  async function drained(): Promise<void> {
    await until('nothing is open', PATIENCE_MS, async () => {
      const { unrouted, pending, delivering } = (await webhooks.inspect()).counts
      return unrouted + pending + delivering === 0 ? true : undefined
    })
  }

  async function deliveries(status?: DeliveryStatus): Promise<Delivery[]> {
    const all: Delivery[] = []
    let after: string | null | undefined
    do {
      const page = await webhooks.deliveries.list({
        scope: SCOPE,
        limit: 200,
        ...(status ? { status } : {}),
        ...(after ? { after } : {}),
      })
      all.push(...page.items)
      after = page.next
    } while (after !== null)
    return all
  }

  return {
    webhooks,
    acknowledged,
    async endpoints(tally, count) {
      for (let i = 0; i < count; i++) {
        const { secret } = await webhooks.endpoints.create({
          scope: SCOPE,
          url: tally.url(`/${i}`),
          types: [`to.${i}`],
        })
        tally.expect(`/${i}`, secret)
      }
    },
    async flow(tally, { lines, paths, more, rest }) {
      const line = async (_: unknown, i: number): Promise<void> => {
        while (more()) {
          const n = lengths.get(i) ?? 0
          lengths.set(i, n + 1)
          await send(i, i % paths, n, i % 2 === 0)
          await rest?.()
          while (sent - tally.ids.size > AHEAD && more()) await sleep(5)
        }
      }
      await Promise.all(Array.from({ length: lines }, line))
    },
    drained,
    async redriven() {
      const dead = await deliveries('dead')
      expect(dead.filter(({ reason }) => reason !== 'poison')).toEqual([])
      if (dead.length > 0) {
        const { id } = await webhooks.deliveries.redrive({ scope: SCOPE, perSecond: 1_000 })
        await until('all are redriven', PATIENCE_MS, async () => {
          const { state } = await webhooks.deliveries.redriveStatus({ scope: SCOPE, id })
          return state === 'done' ? true : undefined
        })
        await drained()
      }
      return new Set(dead.map(({ event }) => event))
    },
    deliveries: () => deliveries(),
    attempts: async ({ id }) => (await webhooks.deliveries.attempts({ scope: SCOPE, id, limit: 200 })).items,
    async [Symbol.asyncDispose]() {
      await webhooks.close()
      await opened[Symbol.asyncDispose]()
    },
  }
}
