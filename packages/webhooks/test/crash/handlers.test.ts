import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { transact } from '@keelson/kernel/postgres'
import { createWebhooks } from '@keelson/webhooks'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import { until } from '../../../../tools/servers/until.ts'
import { createEffects, readEffects } from './effects.ts'
import { QUICK } from './node.ts'
import { newPlace, openPlace, type Place } from './place.ts'
import { PATIENCE_MS, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 100 : 10
const NODES = 2
const SCOPES = ['a', 'b', 'c', 'd', 'e', 'f']
const IN_FLIGHT = 8
/** Handled and not yet, at most. */
const AHEAD = 60

/** A process with a handler. */
interface HandlerNode {
  readonly worker: WorkerProcess<never, 'begin' | 'end'>
  inside: number
  dead: boolean
}

async function startHandlers(place: Place, effects: Place, env: Record<string, string> = {}): Promise<HandlerNode> {
  const worker = await startWorker<never, 'begin' | 'end'>(new URL('./handler-worker.ts', import.meta.url), {
    PLACE: JSON.stringify(place),
    EFFECTS: JSON.stringify(effects),
    ...env,
  })
  const node: HandlerNode = { worker, inside: 0, dead: false }
  worker.onMessage((said) => (node.inside += said === 'begin' ? 1 : -1))
  void worker.ended.then(() => (node.dead = true))
  return node
}

test.each(['redis', 'postgres'] as const)(
  'processes are killed inside of handlers, on %s: each event is handled once, none of what was rolled back',
  async (kind) => {
    const url = inject('databaseUrl')
    const place = newPlace(kind, kind === 'redis' ? inject('redisUrl') : url)
    const effects = newPlace('postgres', url)
    const db = new pg.Pool({ connectionString: url, max: 16 })
    await createEffects(db, effects.name)
    await using opened = await openPlace(place)
    const webhooks = createWebhooks({ store: opened.store, encryption: 'plaintext', storeTimeout: '60s', ...QUICK })
    const nodes = await Promise.all(Array.from({ length: NODES }, () => startHandlers(place, effects)))
    const published = new Set<string>()
    const ending = new AbortController()
    let kills = 0
    let tried = 0

    /** With Postgres every third transaction is rolled back behind its event. */
    async function publish(): Promise<void> {
      const id = `h${++tried}`
      const scope = SCOPES[tried % SCOPES.length]!
      const data = tried === 20 ? { poison: true } : {}
      if (opened.db === undefined) await webhooks.send('thing.done', data, { scope, id })
      else {
        const isRolledBack = tried % 3 === 1
        const written = transact(opened.db, async (tx) => {
          if (isRolledBack) {
            await webhooks.send('thing.done', data, { scope, id, tx })
            throw new Error('rolled back')
          }
          return { value: undefined, effects: [webhooks.event('thing.done', data, { scope, id })] }
        })
        if (isRolledBack) {
          await expect(written).rejects.toThrow('rolled back')
          return
        }
        await written
      }
      published.add(id)
    }

    try {
      const booked = async (): Promise<number> => (await readEffects(db, effects.name)).length
      const flow = (async () => {
        while (!ending.signal.aborted) {
          if (published.size - (await booked()) < AHEAD) await Promise.all(Array.from({ length: 12 }, publish))
          else await sleep(20)
        }
      })()
      while (kills < KILLS) {
        const victim = await until('a process is in the middle of work, or dead by poison', PATIENCE_MS, async () =>
          nodes.find(({ dead, inside }) => dead || inside >= IN_FLIGHT),
        )
        await sleep(Math.random() * 20)
        await victim.worker.kill()
        kills++
        nodes[nodes.indexOf(victim)] = await startHandlers(place, effects)
      }
      ending.abort()
      await flow

      // Poison goes on to kill until the store gives it up, and who is in flight beside it each time is given up too.
      const poison = `h20`
      const scope = SCOPES[20 % SCOPES.length]!
      // Five leases, and as many processes to start.
      await until('the poison is dead', 5 * PATIENCE_MS, async () => {
        for (const node of nodes.filter(({ dead }) => dead)) {
          kills++
          nodes[nodes.indexOf(node)] = await startHandlers(place, effects)
        }
        const { deliveries } = await webhooks.events.get({ scope, id: poison })
        return deliveries[0]?.status === 'dead' ? true : undefined
      })
      const { deliveries } = await webhooks.events.get({ scope, id: poison })
      expect(deliveries).toMatchObject([{ status: 'dead', reason: 'poison', attempts: 0 }])
      const { items } = await webhooks.deliveries.attempts({ scope, id: deliveries[0]!.id })
      expect(items.map(({ outcome }) => outcome)).toEqual(Array(5).fill('crashed'))
      expect(await readEffects(db, effects.name)).not.toContain(poison)

      await Promise.all(nodes.map(({ worker }) => worker.kill()))
      nodes.splice(0, NODES, await startHandlers(place, effects, { MERCY: '1' }))
      const drained = async (): Promise<true> =>
        until('nothing is open', PATIENCE_MS, async () => {
          const { unrouted, pending, delivering } = (await webhooks.inspect()).counts
          return unrouted + pending + delivering === 0 ? true : undefined
        })
      // The last crash of one may come to light only now.
      await drained()
      for (const scope of SCOPES) await webhooks.deliveries.redrive({ scope, perSecond: 1_000 })
      await until('all are handled', PATIENCE_MS, async () => ((await booked()) >= published.size ? true : undefined))
      await drained()
      console.log(`${kind}: ${published.size} events, ${kills} processes killed inside of handlers`)
      expect((await readEffects(db, effects.name)).toSorted()).toEqual([...published].toSorted())
    } finally {
      ending.abort()
      await Promise.all(nodes.map(({ worker }) => worker.kill()))
      await webhooks.close()
      await db.end()
    }
  },
  LONG ? 3_600_000 : SLOW_MS,
)
