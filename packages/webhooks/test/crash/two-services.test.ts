import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { generateSecret } from '@keelson/webhooks'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import { freePort } from '../../../../tools/servers/free-port.ts'
import { until } from '../../../../tools/servers/until.ts'
import { createEffects, readEffects } from './effects.ts'
import { QUICK, startNode, type NodeOptions } from './node.ts'
import { newPlace, type Place } from './place.ts'
import { openSending, PATIENCE_MS, SCOPE, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'
const EVENTS = LONG ? 10_000 : 1_000
const KILLS = LONG ? 50 : 4
const KEYS = 25
/** Endpoints, all of the one service: so many lanes. */
const PATHS = 5
const IN_FLIGHT = 8

/** The service that receives. */
interface InboxNode {
  readonly worker: WorkerProcess<never, 'begin' | 'end'>
  inside: number
}

async function startInbox(effects: Place, secret: string, port: number): Promise<InboxNode> {
  const env = { EFFECTS: JSON.stringify(effects), SECRET: secret, PORT: String(port) }
  const worker = await startWorker<never, 'begin' | 'end'>(new URL('./inbox-worker.ts', import.meta.url), env)
  const node = { worker, inside: 0 }
  worker.onMessage((said) => (node.inside += said === 'begin' ? 1 : -1))
  return node
}

test.each(['redis', 'postgres'] as const)(
  'two services, each killed again and again, with %s between them: each effect once, in order per key',
  async (kind) => {
    const url = inject('databaseUrl')
    const place = newPlace(kind, kind === 'redis' ? inject('redisUrl') : url)
    const effects = newPlace('postgres', url)
    const db = new pg.Pool({ connectionString: url, max: 4 })
    await using _db = { [Symbol.asyncDispose]: () => db.end() }
    await createEffects(db, effects.name)
    const secret = generateSecret()
    const port = await freePort()
    const concurrency = 8
    // While the receiver is away its answers are refusals: they are repeated soon, and for long.
    const endpoint = { retry: { schedule: Array<number>(50).fill(500) }, concurrency, breaker: false } as const
    const options: NodeOptions = { ...QUICK, endpoint }
    await using sending = await openSending(place, endpoint)
    for (let i = 0; i < PATHS; i++) {
      const types = [`to.${i}`]
      await sending.webhooks.endpoints.create({ scope: SCOPE, url: `http://127.0.0.1:${port}/${i}`, types, secret })
    }
    let inbox = await startInbox(effects, secret, port)
    const nodes = [await startNode(place, options), await startNode(place, options)]
    try {
      const ids: string[][] = []
      const key = async (_: unknown, k: number): Promise<void> => {
        const mine: string[] = (ids[k] = [])
        for (let n = 0; n < EVENTS / KEYS; n++) {
          const id = `k${k}-${n}`
          await sending.webhooks.send(`to.${k % PATHS}`, { n }, { scope: SCOPE, id, key: `k${k}` })
          mine.push(id)
        }
      }
      const sent = Promise.all(Array.from({ length: KEYS }, key))
      const booked = async (): Promise<string[]> => readEffects(db, effects.name)
      for (let kill = 0; kill < KILLS; kill++) {
        await until('the share of events of this kill', PATIENCE_MS, async () =>
          (await booked()).length >= (kill * EVENTS) / (KILLS + 1) ? true : undefined,
        )
        await until('the receiver is in full work', PATIENCE_MS, async () => inbox.inside >= IN_FLIGHT || undefined)
        await sleep(Math.random() * 20)
        const node = nodes.shift()!
        await Promise.all([inbox.worker.kill(), node.kill()])
        ;[inbox] = await Promise.all([
          startInbox(effects, secret, port),
          startNode(place, options).then((next) => nodes.push(next)),
        ])
      }
      await sent
      await sending.drained()

      // Who was there at five kills in a row was given up, and its key went on without it.
      const poison = await sending.redriven()
      const effectsInOrder = await booked()
      const deliveries = await sending.deliveries()
      expect(deliveries.filter(({ status }) => status !== 'succeeded')).toEqual([])
      expect(effectsInOrder).toHaveLength(EVENTS)
      for (const [k, mine] of ids.entries()) {
        const inOrder = (all: readonly string[]) => all.filter((id) => id.startsWith(`k${k}-`) && !poison.has(id))
        expect(inOrder(effectsInOrder)).toEqual(inOrder(mine))
      }
      expect(new Set(effectsInOrder).size).toBe(EVENTS)
      const attempts = deliveries.reduce((sum, delivery) => sum + delivery.attempts, 0)
      console.log(
        `${kind}: ${EVENTS} effects of ${attempts} attempts, ${KILLS} kills of both services, ${poison.size} events redriven`,
      )
    } finally {
      await Promise.all([inbox.worker.kill(), ...nodes.map((node) => node.kill())])
    }
  },
  LONG ? 3_600_000 : SLOW_MS,
)
