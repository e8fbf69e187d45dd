import assert from 'node:assert/strict'
import type { client } from './client.ts'
import { until, type Step } from './step.ts'

/** What the merchant's receiver has seen: addresses of parcels, and what became of them. */
export interface Seen {
  readonly done: readonly string[]
  readonly duplicates: readonly string[]
}

/** What these steps are told with. */
interface WebhookStage {
  /** What the story's keys begin with. */
  readonly key: string
  readonly clients: readonly ReturnType<typeof client>[]
  readonly receiverUrl: string
  /** Signs what the receiver is told. */
  readonly secret: string
  received(): Promise<Seen>
}

/** The part of the story that a merchant's own server hears. */
export function webhookSteps({ key, clients, receiverUrl, secret, received }: WebhookStage): Step[] {
  const { book, webhooks } = clients[0]!

  return [
    {
      name: 'a merchant is told of its parcel: signed, once, although its first answer was lost',
      async run() {
        const retry = { schedule: [0, '100ms', '1s'] }
        const url = `${receiverUrl}/parcels`
        const made = await webhooks('POST', '/endpoints', { url, types: ['shipment.*'], secret, retry })
        assert.equal(made.status, 201)
        assert.equal((await clients[1]!.book(`${key}-6`)).status, 201)
        await until('the merchant has it twice', async () => (await received()).duplicates.includes(`${key}-6`))
        const { done } = await received()
        assert.equal(done.filter((to) => to === `${key}-6`).length, 1)
      },
    },
    {
      name: 'a receiver that only fails: its delivery is dead after two attempts, and arrives when it is redriven',
      async run() {
        const url = `${receiverUrl}/closed`
        const retry = { schedule: [0, '50ms'] }
        const made = await webhooks('POST', '/endpoints', { url, secret, retry }, 'm2')
        const { id: endpoint } = made.json()
        assert.equal((await book(`${key}-7`, { merchant: 'm2' })).status, 201)
        const dead = async (): Promise<unknown[]> => {
          const path = `/deliveries?endpoint=${endpoint}&status=dead`
          return (await webhooks('GET', path, undefined, 'm2')).json().items!
        }
        await until('the delivery is dead', async () => (await dead()).length === 1)
        await fetch(`${receiverUrl}/open`)
        assert.equal((await webhooks('POST', '/redrives', { endpoint }, 'm2')).status, 202)
        await until('the merchant has it', async () => (await received()).done.includes(`${key}-7`))
        assert.deepEqual(await dead(), [])
      },
    },
  ]
}
