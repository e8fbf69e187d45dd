import assert from 'node:assert/strict'
import { sign } from '@keelson/webhooks'
import type { client } from './client.ts'
import { courier } from './courier.ts'
import type { Status } from './domain/status.ts'
import { until, type Step } from './step.ts'

/** What these steps are told with. */
interface StatusStage {
  /** What the story's keys begin with. */
  readonly key: string
  /** For what a courier's device keeps. */
  readonly folder: string
  /** What the carrier signs with. */
  readonly secret: string
  readonly clients: readonly ReturnType<typeof client>[]
  /** Of the nodes behind these clients. */
  readonly urls: readonly string[]
  /** What a merchant's receiver was told. */
  delivered(): Promise<readonly string[]>
}

/** The part of the story about where a parcel is: its merchant and the carrier say so. */
export function statusSteps({ key, folder, secret, clients, urls, delivered }: StatusStage): Step[] {
  const [{ book, move, rows, onRecord }, other] = clients as [ReturnType<typeof client>, ReturnType<typeof client>]
  let id: string

  /** What every node says. */
  const seen = (): Promise<(string | undefined)[]> =>
    Promise.all(clients.map(async ({ find }) => (await find(id)).json().status))
  const onAll = (status: Status): Status[] => clients.map(() => status)
  const told = (status: Status) =>
    until(`the merchant knows of ${status}`, async () => (await delivered()).includes(`${id} is ${status}`))

  /** The carrier's own program: it knows the standard, and what was agreed upon. */
  async function carrierSays(event: string, type: string, o: { node?: number; secret?: string } = {}): Promise<number> {
    const body = JSON.stringify({ type, data: { shipment: id } })
    const timestamp = Math.floor(Date.now() / 1000)
    const signature = sign({ id: event, timestamp, body: Buffer.from(body), secrets: [o.secret ?? secret] })
    const headers = { ...signature, 'content-type': 'application/json', 'x-correlation-id': event }
    const response = await fetch(`${urls[o.node ?? 0]!}/carrier-events`, { method: 'POST', headers, body })
    await response.arrayBuffer()
    return response.status
  }

  return [
    {
      name: 'a merchant holds a parcel back: every node shows it at once, the merchant is told, and so is a courier; what a merchant may not say of a parcel is refused with 409',
      async run() {
        id = (await book(`${key}-9`)).json().id!
        assert.deepEqual(await seen(), onAll('booked'))
        const cached = await other.find(id)
        assert.match(cached.headers.get('cache-status') ?? '', /^keelson; hit/)
        const known = { 'if-none-match': cached.headers.get('etag')! }
        assert.equal((await other.find(id, known)).status, 304)

        const held = await move(`${key}-9h`, id, 'held')
        assert.deepEqual([held.status, held.json().status], [200, 'held'])
        assert.deepEqual(await seen(), onAll('held'))
        assert.equal((await other.find(id, known)).status, 200)
        const again = await other.move(`${key}-9h`, id, 'held')
        assert.equal(again.headers.get('idempotent-replayed'), 'true')
        assert.deepEqual(await rows(`${key}-9h`), { shipments: 0, events: 1, answers: 1, entries: 1 })
        await told('held')

        const c2 = courier('c2', { url: urls[0]!, folder, correlation: `${key}-9c` })
        await c2.device.sync()
        assert.equal((await c2.parcels.get(id))?.status, 'held')
        await c2.device.close()

        const wrong = await move(`${key}-9r`, id, 'returned')
        assert.deepEqual([wrong.status, wrong.json().code], [409, 'wrong-status'])
        await onRecord(`${key}-9r`, [409])
      },
    },
    {
      name: 'the carrier tells us that it has a parcel, signed; a forger is refused with 401, an event that comes too early with 409 until it is true, and one that comes three times is one',
      async run() {
        const event = `${key}-9e`
        assert.equal(await carrierSays(`${key}-9f`, 'parcel.collected', { secret: `whsec_${'A'.repeat(32)}` }), 401)
        // It is still held back.
        assert.equal(await carrierSays(event, 'parcel.collected'), 409)
        assert.deepEqual(await rows(event), { shipments: 0, events: 0, answers: 0, entries: 0 })
        assert.equal((await move(`${key}-9b`, id, 'booked')).status, 200)

        for (const node of [0, 1, 2]) assert.equal(await carrierSays(event, 'parcel.collected', { node }), 200)
        assert.deepEqual(await seen(), onAll('in-transit'))
        assert.deepEqual(await rows(event), { shipments: 0, events: 1, answers: 1, entries: 1 })
        await told('in-transit')
        assert.equal((await move(`${key}-9x`, id, 'held')).status, 409)
      },
    },
  ]
}
