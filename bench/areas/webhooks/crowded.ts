import { createWebhooks, type NewEvent, type WebhookStore } from '@keelson/webhooks'
import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { newName } from './couriers.ts'
import { LOCAL, openStore, type Kind } from './hung-keelson.ts'

const SCOPES = 100
/** Of each scope. */
const ENDPOINTS = 1_000
/** Of each endpoint; of each of a hundredth, which must not run dry either. */
const [QUEUED, QUEUED_FEW] = [10, 100]
/** Endpoints of one event. */
const FAN_OUT = 100
/** Scopes that are filled at once. */
const AT_ONCE = 4
/** Events of one call. */
const EVENTS = 5

/** What a claim and a process cost when there is far more than they can see, and with a hundredth of the endpoints. */
export function crowded(services: Services): Case[] {
  const contender = (name: string, kind: Kind, scopes: number, queued: number): Contender => ({
    name,
    async open() {
      const place = newName(services)
      const storeUrl = await (kind === 'redis' ? services.redisUrl() : services.databaseUrl())
      const receiver = await startChild(new URL('receiver.ts', import.meta.url), [])
      const { store, end } = await openStore(kind, storeUrl, place)
      await fill(store, await receiver.ask<string>({ kind: 'url' }), scopes, queued)
      await store.close()
      await end()
      const node = await startChild(new URL('crowded-process.ts', import.meta.url), [kind, storeUrl, place])
      return {
        run: (forMs) => node.ask({ forMs }),
        async close() {
          await node.stop()
          await receiver.stop()
        },
      }
    },
  })
  const caseOf = (title: string, kind: Kind): Case => {
    const [many, few] = [`keelson, ${title}`, `keelson, ${title}, ${ENDPOINTS} endpoints`]
    return {
      name: `${SCOPES * ENDPOINTS} endpoints with ${SCOPES * ENDPOINTS * QUEUED} deliveries queued: ${title}`,
      note: 'one node delivers them: what its claims take, each of as many as there are free slots, and its memory',
      runMs: 10_000,
      warmUpMs: 2_000,
      base: few,
      contenders: [contender(many, kind, SCOPES, QUEUED), contender(few, kind, 1, QUEUED_FEW)],
      targets: [
        { of: many, figure: 'claim p99 ms', atMost: 5 },
        { of: many, figure: 'RSS MB', atMost: 200 },
      ],
    }
  }
  return [caseOf('Redis', 'redis'), caseOf('Postgres', 'postgres')]
}

/** By the store itself: through `endpoints.create` and `send` it would take an hour. */
async function fill(store: WebhookStore, url: string, scopes: number, queued: number): Promise<void> {
  const webhooks = createWebhooks({ ...LOCAL, store })
  const { id } = await webhooks.endpoints.create({ scope: 'sample', url: `${url}/` })
  const sample = (await store.endpoints.get('sample', id))!
  const { state, disabledReason, config, secrets, rules } = sample
  // Those of one scope one after another: their events are for the same lanes.
  await inTurns(scopes, async (s) => {
    const scope = `s${s}`
    for (let e = 0; e < ENDPOINTS; e++) {
      // Each has an address of its own: what a node remembers of one is of no use for the others.
      const own = config.replace(`${url}/`, `${url}/${scope}/${e}`)
      const row = { scope, id: `ep_${e}`, state, disabledReason, config: own, secrets, rules }
      await store.endpoints.insert(row, ENDPOINTS)
    }
    const { revision } = await store.audience(scope)
    for (let n = 0; n < (ENDPOINTS * queued) / FAN_OUT; n += EVENTS) {
      await store.publish(Array.from({ length: EVENTS }, (_, i) => eventOf(scope, n + i, revision)))
    }
  })
  await webhooks.close()
}

/** The event `n` of a scope goes to a hundred endpoints, the next one to the next hundred. */
function eventOf(scope: string, n: number, revision: string): NewEvent {
  const id = `ev_${String(n).padStart(6, '0')}`
  const first = (n * FAN_OUT) % ENDPOINTS
  const deliveries = Array.from({ length: FAN_OUT }, (_, i) => ({ id: `dl_${id}_${i}`, endpoint: `ep_${first + i}` }))
  const body = Buffer.from(JSON.stringify({ type: 'a.b', timestamp: new Date(0), data: { n } }))
  return { scope, id, type: 'a.b', body, digest: `${n}`, matched: { revision, deliveries } }
}

async function inTurns(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0
  const turns = Array.from({ length: AT_ONCE }, async () => {
    while (next < count) await work(next++)
  })
  await Promise.all(turns)
}
