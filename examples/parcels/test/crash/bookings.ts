import { Redis } from 'ioredis'
import pg from 'pg'
import { flight } from '../../../../tools/crash/flight.ts'
import { wholeOnce, type Counts, type CrashPlace, type CrashScenario } from '../../../../tools/crash/scenario.ts'
import { until } from '../../../../tools/servers/until.ts'
import type { Framework } from '../../src/environment.ts'
import { countAll, countRows, floorOf } from './counting.ts'
import { openCrashNode, type CrashNode } from './crash-node.ts'
import { onBehalf, outside } from './on-behalf.ts'
import { flightOfRequests } from './request-flights.ts'
import { ask, listedBehind } from './requests.ts'

const LONG = process.env['LONG'] === '1'
/** Attempts of the dead are repeated after 10 s, those of who dies with them after 20 s, and so on. */
const PATIENCE_MS = 180_000

/** All parts of a write by its kind: each is there once, or none. */
const PARTS: Readonly<Record<string, (counts: Counts) => Counts>> = {
  book: ({ answers = 0, shipments = 0, entries = 0, events = 0, records = 0, listed = 0 }) => {
    return { answers, shipments, entries, events, records, listed }
  },
  cancel: ({ answers = 0, booked = 0, shipments = 0, entries = 0, tombstones = 0, listed = 0 }) => {
    return { answers, gone: booked - shipments, entries, tombstones, unlisted: booked - listed }
  },
}

/**
 * A merchant books over HTTP, and with `LONG=1` cancels too: a node of parcels in each process, with all cores behind it.
 * The process that opens first lives on: it is the other node, and has the merchant's receiver.
 */
export function bookingsOn(framework: Framework, cache: 'Postgres' | 'Redis', inFlight: number): CrashScenario {
  // The limit; the claim; the row; all else and COMMIT; the drop, in Redis; and around them the reply.
  flightOfRequests(pg.Client.prototype, 'query')
  if (cache === 'Redis') flight(Redis.prototype, 'sendCommand')
  const client = flight({ ask }, 'ask')

  async function open(place: CrashPlace) {
    const node = await openCrashNode(place, framework, cache)
    const { url, other } = node
    const { db } = node.system
    const floors = new Map<string, Promise<string>>()

    /** As the other node lists what was booked since the round began. */
    async function list(key: string): Promise<string[]> {
      const round = key.split('-')[0]!
      if (!floors.has(round)) floors.set(round, floorOf(db, round))
      return listedBehind(other, await floors.get(round)!)
    }

    return {
      async write(key: string, kind: string): Promise<string> {
        const request = kind === 'book' ? booking(key) : await outside(() => cancelling(key))
        const { status, method, path, about, listed } = request
        // The other node keeps a list that is not true any more when the write is.
        await outside(() => list(key))
        const answer = await onBehalf(key, () => client.ask(url, method, path, about))
        if (answer.status !== status) throw new Error(`answered ${answer.status} ${answer.text}`)
        const times = timesIn(await outside(() => list(key)), key)
        if (times !== listed) throw new Error(`told, but the other node lists it ${times} times`)
        return `${answer.status} ${answer.text}`
      },

      async read(keys: readonly string[]): Promise<ReadonlyMap<string, Counts>> {
        const counts = await countRows(db, keys)
        const all = async (): Promise<string[]> => (keys[0] === undefined ? [] : list(keys[0]))
        const agrees = async (): Promise<true | undefined> => {
          const listed = await all()
          return keys.every((key) => timesIn(listed, key) === counts.get(key)!['shipments']) || undefined
        }
        // A drop in Redis, whose process died before it had made it, a relay makes.
        if (cache === 'Redis') await until('the other node lists what is there', PATIENCE_MS, agrees).catch(() => {})
        const listed = await all()
        return new Map(keys.map((key) => [key, { ...counts.get(key), listed: timesIn(listed, key) }]))
      },

      check: () => wrongInTheEnd(node),
    }

    /** Of a parcel that is booked for it. */
    async function cancelling(key: string): Promise<WriteRequest> {
      const { text } = await ask(url, 'POST', '/shipments', { ...booking(key).about, key: `${key}-first` })
      const path = `/shipments/${(JSON.parse(text) as { id: string }).id}`
      return { method: 'DELETE', path, about: { key }, status: 204, listed: 0 }
    }
  }

  return {
    kinds: LONG ? { book: 3, cancel: 1 } : { book: 1 },
    inFlight,
    open,
    judge: (write) => wholeOnce({ ...write, counts: PARTS[write.kind]!(write.counts) }),
  }
}

/** What a client sends, what it must hear, and how often the parcel is listed then. */
interface WriteRequest {
  readonly method: string
  readonly path: string
  readonly about: { readonly key: string; readonly body?: string }
  readonly status: number
  readonly listed: number
}

function booking(key: string): WriteRequest {
  const body = JSON.stringify({ to: key, kg: 1 })
  return { method: 'POST', path: '/shipments', about: { key, body }, status: 201, listed: 1 }
}

/** Each event has reached the merchant, who did it once; the log verifies; no table has more than the others say. */
async function wrongInTheEnd({ system: { db, audit }, merchant }: CrashNode): Promise<string | undefined> {
  const { rows } = await db.query(`select id from keelson.webhook_event where type = 'shipment.created'`)
  const { done } = merchant!
  const missing = (): number => rows.filter(({ id }) => !done.has(id)).length
  const arrived = until('all has arrived', PATIENCE_MS, async () => missing() === 0 || undefined)
  await arrived.catch(() => {})
  if (missing() > 0) return `${missing()} of ${rows.length} events have not arrived`
  if (done.size !== rows.length || new Set(done.values()).size !== rows.length)
    return 'the merchant was not told of each parcel once'
  const { ok, problems } = await audit.verify()
  return ok ? await countAll(db) : `the audit log: ${JSON.stringify(problems)}`
}

function timesIn(all: readonly string[], key: string): number {
  return all.filter((to) => to === key).length
}
