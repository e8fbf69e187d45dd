/**
 * The promises about time, of the time in which the process could run. Noise only adds: the best of the rounds counts,
 * and there are so many until each promise was kept once.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startReceiver, type Receiver } from '@keelson/webhooks/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startNode, type Answer, type Node } from './node.ts'
import { openStores, type Stores } from './stores.ts'
import { expectRefusal, served } from './test-cells.ts'

const STORE_TIMEOUT_MS = 250
/** What is late by itself is late in all of them. */
const MOST_ROUNDS = 25
/** Of HTTP and this machine; the guard itself takes less than 1 ms. */
const AT_ONCE_MS = 50
/** A second, and a probe that was under way when the store came back. */
const BACK_MS = 1_000 + STORE_TIMEOUT_MS

/** How long it took until the first answer of an outage, the next one, and the one after it. */
type Times = Record<'first' | 'next' | 'back', number>
const PROMISED_MS: Times = { first: STORE_TIMEOUT_MS + 50, next: AT_ONCE_MS, back: BACK_MS }

let stores: Stores
let node: Node
let receiver: Receiver
let spool: string

beforeAll(async () => {
  stores = await openStores()
  receiver = await startReceiver()
  spool = await mkdtemp(join(tmpdir(), 'cores-spool-'))
  const environment = { STORE_TIMEOUT: `${STORE_TIMEOUT_MS}ms`, RECEIVER_URL: receiver.url, SPOOL: spool }
  const urls = { DATABASE_URL: stores.Postgres.url, REDIS_URL: stores.Redis.url }
  node = await startNode({ ...environment, ...urls }, '../test/degradation/cores-worker.ts')
})
afterAll(async () => {
  await node.end('SIGTERM')
  await receiver.close()
  await stores[Symbol.asyncDispose]()
  await rm(spool, { recursive: true })
})

let keys = 0
const awakeMs = async (): Promise<number> => Number((await node.ask('GET', '/awake')).text)

/** What is asked, and what it answers when all is well. */
const asks = (store: string): Record<string, readonly [path: string, status: number]> => ({
  claim: [`/${store}/refuse/now`, 201],
  limit: [`/${store}/closed`, 204],
  ...(store === 'Postgres' ? { audit: ['/audit/none/required', 201] as const } : {}),
})

test.each(['Postgres', 'Redis'] as const)(
  'a frozen %s: refused within storeTimeout and 50 ms, then at once, and served within a second of its return',
  async (store) => {
    const post = (path: string): Promise<Answer> => node.ask('POST', path, { key: `${store}-${keys++}`, body: {} })
    for (const [name, [path, status]] of Object.entries(asks(store))) {
      const best: Times = { first: Infinity, next: Infinity, back: Infinity }
      for (let round = 0; round < MOST_ROUNDS && !isInTime(best); round++) {
        await served(() => post(path), status)
        stores[store].hurt('frozen')
        for (const which of ['first', 'next'] as const) {
          const answer = await post(path)
          expectRefusal(answer)
          best[which] = Math.min(best[which], answer.tookMs)
        }
        const beganMs = await awakeMs()
        stores[store].heal()
        await served(() => post(path), status)
        best.back = Math.min(best.back, (await awakeMs()) - beganMs)
      }
      const { first, next, back } = best
      console.log(`${store}, ${name}: refused in ${first} ms, then ${next} ms, back in ${back} ms`)
      for (const which of ['first', 'next', 'back'] as const)
        expect(best[which], `${name}: ${which}`).toBeLessThan(PROMISED_MS[which])
    }
  },
)

function isInTime(best: Times): boolean {
  return (['first', 'next', 'back'] as const).every((which) => best[which] < PROMISED_MS[which])
}
