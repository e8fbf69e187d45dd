import assert from 'node:assert/strict'
import type { Audit, Entry } from '@keelson/audit'
import { auditor } from './auditor.ts'
import type { client } from './client.ts'
import { courier, type Courier } from './courier.ts'
import type { Parcel } from './domain/shipments.ts'
import { until, type Step } from './step.ts'

/** What these steps are told with. */
interface CourierStage {
  /** What the story's keys begin with. */
  readonly key: string
  /** For what their devices keep. */
  readonly folder: string
  readonly audit: Audit
  readonly clients: readonly ReturnType<typeof client>[]
  /** Of the nodes behind these clients. */
  readonly urls: readonly string[]
  /** What a merchant's receiver was told. */
  delivered(): Promise<readonly string[]>
}

/** The part of the story that is told on the road. */
export function courierSteps({ key, folder, audit, clients, urls, delivered }: CourierStage): {
  readonly steps: Step[]
  close(): Promise<void>
} {
  const [{ book, cancel, explain, list, look }] = clients as [ReturnType<typeof client>]
  const { read } = auditor(urls[0]!)
  const open = (name: string, node: number): Courier =>
    courier(name, { url: urls[node % urls.length]!, folder, correlation: `${key}-${name}` })
  let c1 = open('c1', 1)
  const c2 = open('c2', 2)
  /** The parcels that they carry. */
  let [door, gone]: (string | undefined)[] = []

  const pending = (): number[] => [c1, c2].map(({ device }) => device.pending().count)
  const bookParcel = async (name: string): Promise<string> =>
    (await book(`${key}-${name}`)).headers.get('location')!.split('/').at(-1)!

  /** Who, what of it, and how it ended, in the order of the log. */
  async function told(action: string): Promise<unknown[]> {
    await audit.flush()
    const { items } = JSON.parse(String(await read(`entries?action=${action}&order=asc`))) as { items: Entry[] }
    return items.map(({ actor, target, changes, data }) => [
      actor.id,
      target?.id,
      ...(changes ?? []).map(({ path }) => path),
      ...(data['code'] === undefined ? [] : [data['code'], data['lost']]),
    ])
  }

  const steps: Step[] = [
    {
      name: 'two couriers without a network write down what they find at the same door: 2 and 2 edits are pending, also when a device starts anew',
      async run() {
        door = await bookParcel('door')
        gone = await bookParcel('gone')
        for (const { device } of [c1, c2]) await device.sync()
        assert.deepEqual(await c1.parcels.get(door), { merchant: 'm1', to: `${key}-door` })

        c1.isOnline = c2.isOnline = false
        await c1.parcels.patch(door, { note: 'nobody opens' })
        await c1.parcels.patch(door, { place: 'with the neighbour' })
        const editedMs = Date.now()
        await until('the clock has gone on', async () => Date.now() > editedMs)
        await c2.parcels.patch(door, { note: 'the bell is broken, knock' })
        await c2.parcels.patch(door, { doorCode: '4711' })
        for (const { device } of [c1, c2]) await assert.rejects(device.sync(), { code: 'OFFLINE' })
        assert.deepEqual(pending(), [2, 2])

        await c1.device.close()
        c1 = open('c1', 1)
        c1.isOnline = false
        assert.equal((await c1.parcels.get(door))?.place, 'with the neighbour')
        assert.deepEqual(pending(), [2, 2])
      },
    },
    {
      name: 'they come back, the later one first: 0 and 0 pending, of each field the later write is kept, and who lost a note is told, on record, and named to the merchant',
      async run() {
        c1.isOnline = c2.isOnline = true
        await c2.device.sync()
        assert.deepEqual(pending(), [2, 0])
        await c1.device.sync()
        await c2.device.sync()
        assert.deepEqual(pending(), [0, 0])

        const kept: Parcel = {
          merchant: 'm1',
          to: `${key}-door`,
          note: 'the bell is broken, knock',
          doorCode: '4711',
          place: 'with the neighbour',
        }
        for (const { parcels } of [c1, c2]) assert.deepEqual(await parcels.get(door!), kept)
        assert.deepEqual([c1.lost, c2.lost], [[{ c: 'parcel', id: door, fields: ['note'] }], []])
        assert.deepEqual(await told('shipment.update'), [
          ['c2', door, '/note'],
          ['c2', door, '/doorCode'],
          ['c1', door, '/place'],
        ])
        assert.deepEqual(await told('shipment.conflict'), [['c1', door, 'superseded', ['note']]])
        await until('the merchant knows', async () => (await delivered()).includes(`c1 lost note of ${door}`))
        const kinds = await explain(`${key}-c1`)
        for (const kind of ['sync.op', 'audit.entry', 'webhook.event']) assert.ok(kinds.includes(kind), kind)

        const before = String(BigInt(door!) - 1n)
        const [shipment] = (await list('m1', before)).json().items as { status: string }[]
        assert.equal(shipment!.status, 'delivered')
      },
    },
    {
      name: 'the office takes a parcel back that a courier edits without a network: it does not come back, the edit is an issue, and 0 are pending; to take one back is not for couriers, and those of others see none',
      async run() {
        c1.isOnline = false
        await c1.parcels.patch(gone!, { note: 'on the third floor' })
        assert.equal((await cancel(`${key}-cancel`, gone!)).status, 204)
        c1.isOnline = true
        await c1.device.sync()
        const [issue] = c1.device.issues()
        assert.deepEqual([issue!.id, issue!.code, issue!.theirs], [gone, 'gone', null])
        assert.deepEqual((await told('shipment.conflict')).at(-1), ['c1', gone, 'gone', ['note']])
        await issue!.discard()
        assert.deepEqual([pending(), c1.device.issues()], [[0, 0], []])
        assert.equal(await look('m1', `/shipments/${gone}`), 404)

        await c2.parcels.delete(door!)
        await c2.device.sync()
        assert.deepEqual(
          c2.device.issues().map(({ id, code }) => [id, code]),
          [[door, 'forbidden']],
        )
        await c2.device.issues()[0]!.discard()
        assert.notEqual(await c2.parcels.get(door!), undefined)
        const c3 = open('c3', 0)
        await c3.device.sync()
        const seen = await c3.parcels.all()
        await c3.device.close()
        assert.deepEqual(new Set(seen.map(({ doc }) => doc.merchant)), new Set(['m2']))
        for (const { parcels } of [c1, c2]) assert.equal(await parcels.get(gone!), undefined)
      },
    },
  ]

  return {
    steps,
    async close() {
      for (const { device } of [c1, c2]) await device.close()
    },
  }
}
