import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startReceiver, type Receiver } from '@keelson/webhooks/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { auditOnPostgres, onEitherStore } from './cells.ts'
import { startNode, type Answer, type Node } from './node.ts'
import { openStores, type State, type StoreName, type Stores } from './stores.ts'
import { expectRefusal, holds, served, testCells, type Check } from './test-cells.ts'

let stores: Stores
let node: Node
let receiver: Receiver
let spool: string

beforeAll(async () => {
  stores = await openStores()
  receiver = await startReceiver()
  spool = await mkdtemp(join(tmpdir(), 'cores-spool-'))
  const environment = { STORE_TIMEOUT: '1s', RECEIVER_URL: receiver.url, SPOOL: spool }
  const urls = { DATABASE_URL: stores.Postgres.url, REDIS_URL: stores.Redis.url }
  node = await startNode({ ...environment, ...urls }, '../test/degradation/cores-worker.ts')
})
afterAll(async () => {
  await receiver.close()
  await stores[Symbol.asyncDispose]()
  await rm(spool, { recursive: true })
})

const post = (path: string, key?: string): Promise<Answer> =>
  node.ask('POST', path, key === undefined ? {} : { key, body: {} })
const runsOf = async (key: string): Promise<number> => Number((await node.ask('GET', `/runs/${key}`)).text)
const isReplayed = ({ headers }: Answer): boolean => headers.has('idempotent-replayed')

/** Of all samples of a family that have this label. */
async function counted(family: string, label = ''): Promise<number> {
  const { text } = await node.ask('GET', '/ops/metrics')
  const samples = text.split('\n').filter((line) => line.startsWith(family) && line.includes(label))
  return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

describe.each(['Postgres', 'Redis'] as const)('%s', (store) => {
  testCells(
    onEitherStore,
    () => stores[store],
    (state) => eachCore(store, state),
  )
})
describe('the audit log', () => {
  testCells(auditOnPostgres, () => stores.Postgres, auditLog)
})

function eachCore(store: StoreName, state: State): Record<keyof typeof onEitherStore, Check> {
  const keyOf = (name: string): string => `${store}-${state}-${name}`
  const strict = `/${store}/refuse`
  const lax = `/${store}/run-unprotected`
  const cached = (): Promise<Answer> => node.ask('GET', `/${store}/cached`)
  const cacheStatus = ({ headers }: Answer): string => headers.get('cache-status') ?? ''
  let working: Promise<Answer>
  let heldKey: string
  let truth: string
  let release = (): void => {}
  return {
    refuse: {
      away: async () => {
        expectRefusal(await post(`${strict}/now`, keyOf('refuse')))
        expect(await runsOf(keyOf('refuse'))).toBe(0)
      },
      async back() {
        await served(() => post(`${strict}/now`, keyOf('refuse')), 201)
        expect(isReplayed(await served(() => post(`${strict}/now`, keyOf('refuse')), 201))).toBe(true)
        expect(await runsOf(keyOf('refuse'))).toBe(1)
      },
    },
    unprotected: {
      async away() {
        const before = await counted('keelson_idempotency_calls_total', 'unprotected')
        const { status, headers } = await post(`${lax}/now`, keyOf('lax'))
        expect([status, headers.get('idempotency-status')]).toEqual([201, 'unprotected'])
        expect(await counted('keelson_idempotency_calls_total', 'unprotected')).toBe(before + 1)
      },
      back: () => holds('a replay', async () => isReplayed(await post(`${lax}/now`, keyOf('lax-after')))),
    },
    atWork: {
      async before() {
        // A machine that stalls is no outage: what is refused then is asked again, as another piece of work.
        for (let tries = 0, refused = true; refused; tries++) {
          heldKey = keyOf(`held-${tries}`)
          refused = false
          working = post(`${strict}/held`, heldKey)
          working.then(
            () => (refused = true),
            () => {}, // heard where it is awaited
          )
          await holds('it has begun, or was refused', async () => {
            const { status } = await node.ask('GET', `/held/${heldKey}`)
            return status === 200 || refused
          })
        }
      },
      async away() {
        await post(`/held/${heldKey}`)
        expect(await working).toMatchObject({ status: 201, text: '{"runs":1}' })
      },
      async back() {
        const again = await served(() => post(`${strict}/held`, heldKey), 201)
        expect([isReplayed(again), again.text]).toEqual([true, '{"runs":1}'])
        expect(await runsOf(heldKey)).toBe(1)
      },
    },
    cachedRead: {
      before: () => holds('a hit', async () => cacheStatus(await cached()).includes('; hit')),
      async away() {
        // One that is under its lease may still be answered from memory.
        await holds('a bypass', async () => {
          const answer = await cached()
          expect(answer.status).toBe(200)
          return cacheStatus(answer).includes('fwd=bypass')
        })
      },
      back: () => holds('a hit', async () => cacheStatus(await cached()).includes('; hit')),
    },
    invalidates: {
      async away() {
        const write = await post(`/${store}/write`)
        expect(write.status).toBe(201)
        truth = write.text
        expect((await cached()).text).toBe(truth)
      },
      back: () =>
        holds('a hit', async () => {
          const answer = await cached()
          expect(answer.text).toBe(truth)
          return cacheStatus(answer).includes('; hit')
        }),
    },
    invalidate: {
      away: async () => expectRefusal(await post(`/${store}/invalidate`)),
      back: () => served(() => post(`/${store}/invalidate`), 204),
    },
    localLimit: {
      async away() {
        const statuses = []
        for (let n = 0; n < 3; n++) statuses.push((await post(`/${store}/local`)).status)
        // A window of an hour goes over all outages of this test.
        expect(statuses).toEqual(state === 'refused' ? [204, 204, 429] : [429, 429, 429])
      },
      back: () =>
        holds('the shared count', async () => (await post(`/${store}/local`)).headers.get('ratelimit') !== null),
    },
    closedLimit: {
      away: async () => expectRefusal(await post(`/${store}/closed`)),
      back: () => served(() => post(`/${store}/closed`), 204),
    },
    send: {
      away: async () => expectRefusal(await post(`/${store}/events`)),
      async back() {
        await served(() => node.ask('POST', `/${store}/events`, { id: keyOf('sent') }), 202)
        await receiver.next(({ headers }) => headers['webhook-id'] === keyOf('sent'))
      },
    },
    inFlight: {
      async before() {
        receiver.answer(() => new Promise<number>((resolve) => (release = () => resolve(204))), { times: 1 })
        await served(() => node.ask('POST', `/${store}/events`, { id: keyOf('flight') }), 202)
        await receiver.next(({ headers }) => headers['webhook-id'] === keyOf('flight'))
      },
      away: async () => release(),
      back: () =>
        holds('it has succeeded', async () => {
          const { text } = await node.ask('GET', `/${store}/deliveries/${keyOf('flight')}`)
          return text === '["succeeded"]'
        }),
    },
  }
}

function auditLog(state: State): Record<keyof typeof auditOnPostgres, Check> {
  // Shorter ones are not taken for correlation ids.
  const idOf = (name: string): string => `${state}-audited-${name}`
  const act = (log: string, kind: string, name: string): Promise<Answer> =>
    node.ask('POST', `/audit/${log}/${kind}`, { id: idOf(name) })
  const outcomes = async (log: string, id: string): Promise<string> =>
    (await served(() => node.ask('GET', `/audit/${log}/outcomes/${idOf(id)}`), 200)).text
  return {
    spool: {
      before: () => served(() => act('spool', 'plain', 'before'), 201),
      async away() {
        for (const id of ['s1', 's2']) expect((await act('spool', 'plain', id)).status).toBe(201)
      },
      async back() {
        for (const id of ['before', 's1', 's2'])
          await holds(`the entry of ${id}`, async () => (await outcomes('spool', id)) === '["success"]')
        const { text } = await node.ask('GET', '/audit/spool/order')
        const order = (JSON.parse(text) as string[]).filter((id) => /-(before|s1|s2)$/.test(id) && id.startsWith(state))
        expect(order).toEqual(['before', 's1', 's2'].map(idOf))
      },
    },
    required: {
      async away() {
        for (const log of ['spool', 'none']) {
          expectRefusal(await act(log, 'required', `required-${log}`))
          expect(await runsOf(idOf(`required-${log}`))).toBe(0)
        }
      },
      async back() {
        for (const log of ['spool', 'none']) {
          await served(() => act(log, 'required', `back-${log}`), 201)
          // Of a try that was refused on a machine that stalls, the first entry may come later.
          await holds('both', async () => (await outcomes(log, `back-${log}`)).includes('"unknown","success"'))
        }
      },
    },
    neither: {
      async away() {
        const before = await counted('keelson_http_not_audited_total')
        expect((await act('none', 'plain', 'lost')).status).toBe(201)
        expect(await counted('keelson_http_not_audited_total')).toBe(before + 1)
      },
      back: () =>
        holds('an entry', async () => {
          await act('none', 'plain', 'kept')
          return (await outcomes('none', 'kept')).includes('success')
        }),
    },
  }
}

test('the process has lived through all of it, and ends in order', async () => {
  expect(await node.end('SIGTERM')).toEqual([0, null])
})
